"""Queues: how users write them, what a store is told of them, and which are known to an application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured, QueueNotFound
from celeriac.wire.identity import is_text


class Binding(Struct, frozen=True):
    """A further way for messages into a queue, on stores with exchanges."""

    exchange: str
    exchange_type: str = "direct"
    routing_key: str = ""


class QueueSpec(Struct, frozen=True):
    """A queue as the application configured it. Stores without exchanges use `name` alone.

    `arguments` are AMQP's queue arguments (``x-max-priority``, ``x-queue-type`` ...), passed through.
    """

    name: str
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: Mapping[str, Any] = {}
    bindings: tuple[Binding, ...] = ()


class Route(Struct, frozen=True):
    """Where a message goes. `queue` is always resolved; RabbitMQ publishes to `exchange` with `routing_key`."""

    queue: str
    exchange: str = ""
    routing_key: str = ""


class Exchange(Struct, frozen=True):
    """An exchange, written as with kombu. `delivery_mode` is 1 (transient) or 2 (persistent), None for the default."""

    name: str = ""
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | str | None = None
    arguments: Mapping[str, Any] | None = None


class _Declared(Struct, frozen=True):
    """What kombu's `Queue` takes by position."""

    name: str = ""
    exchange: Exchange | str | None = None
    routing_key: str = ""
    bindings: Iterable[Any] = ()
    queue_arguments: Mapping[str, Any] | None = None
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False


class Queue(_Declared, frozen=True, kw_only=True):
    """A queue for ``task_queues``, written as with kombu: ``Queue("images", Exchange("media", "topic"), "image.#")``.

    What is left out is filled in from the settings ``task_default_exchange`` and ``task_default_routing_key``.
    `expires` and `message_ttl` are seconds.
    """

    expires: float | None = None
    message_ttl: float | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    max_priority: int | None = None


class RoutingConf(Protocol):
    """The settings that routing reads; ``app.conf`` has them."""

    @property
    def task_queues(self) -> tuple[Any, ...] | Mapping[str, Any] | None: ...
    @property
    def task_routes(self) -> Any: ...
    @property
    def task_default_queue(self) -> str: ...
    @property
    def task_default_queue_type(self) -> str: ...
    @property
    def task_default_exchange(self) -> str | None: ...
    @property
    def task_default_exchange_type(self) -> str: ...
    @property
    def task_default_routing_key(self) -> str | None: ...
    @property
    def task_queue_max_priority(self) -> int | None: ...
    @property
    def task_create_missing_queues(self) -> bool: ...
    @property
    def task_create_missing_queue_type(self) -> str: ...
    @property
    def task_create_missing_queue_exchange_type(self) -> str | None: ...


class Queues:
    """The queues that an application knows: the configured ones, and those made on first use.

    Built once from the settings as they are then. Thread-safe: two threads that make the same missing queue make
    equal ones.
    """

    def __init__(self, conf: RoutingConf) -> None:
        self._default_exchange = conf.task_default_exchange or conf.task_default_queue
        self._default_type = conf.task_default_exchange_type
        self._default_key = conf.task_default_routing_key or conf.task_default_queue
        self._max_priority = conf.task_queue_max_priority
        self._create_missing = conf.task_create_missing_queues
        self._missing_arguments = _type_arguments(conf.task_create_missing_queue_type)
        self._missing_exchange_type = conf.task_create_missing_queue_exchange_type or self._default_type
        self.default: str = _named(conf.task_default_queue)
        self._known = {spec.name: spec for spec in self._configured(conf)}
        self._consumed = tuple(self._known.values())

    def get(self, name: str) -> QueueSpec:
        """Return the queue, made now if it may be; raise `QueueNotFound` if it may not."""
        spec = self._known.get(name)
        if spec is not None:
            return spec
        if not self._create_missing:
            known = ", ".join(sorted(self._known)) or "none"
            raise QueueNotFound(
                f"Queue {name!r} is not in task_queues, and task_create_missing_queues is off; known queues: {known}."
            )
        return self._known.setdefault(name, self._missing(name))

    def add(self, queue: Any) -> QueueSpec:
        """Take up a queue given as an object, unless one of its name is known; return the known one."""
        spec = self._spec(queue)
        return self._known.setdefault(spec.name, spec)

    def select(self, names: Sequence[str] | None = None, exclude: Sequence[str] = ()) -> Sequence[QueueSpec]:
        """Return what a worker consumes: the named queues, or all configured ones, without the excluded.

        Raises `QueueNotFound` as `get` does, `ImproperlyConfigured` when nothing is left.
        """
        chosen = self._consumed if not names else tuple(self.get(name) for name in dict.fromkeys(names))
        left = tuple(spec for spec in chosen if spec.name not in exclude)
        if not left:
            raise ImproperlyConfigured(
                f"No queue is left to consume after leaving out {', '.join(exclude)}; name others with -Q."
            )
        return left

    def bound_to(self, exchange: str) -> Sequence[tuple[QueueSpec, Binding]]:
        """Return the known queues that get messages from an exchange, with the bindings by which they do."""
        return [
            (spec, binding)
            for spec in tuple(self._known.values())
            for binding in (Binding(spec.exchange, spec.exchange_type, spec.routing_key), *spec.bindings)
            if binding.exchange == exchange
        ]

    def __iter__(self) -> Iterator[QueueSpec]:
        return iter(tuple(self._known.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __len__(self) -> int:
        return len(self._known)

    def _configured(self, conf: RoutingConf) -> Iterator[QueueSpec]:
        queues = conf.task_queues
        if not queues:
            arguments = self._with_priority(_type_arguments(conf.task_default_queue_type))
            yield QueueSpec(
                self.default, self._default_exchange, self._default_type, self._default_key, arguments=arguments
            )
        elif isinstance(queues, Mapping):
            for name, options in queues.items():
                yield self._from_options(name, options)
        else:
            for queue in queues:
                yield self._spec(queue)

    def _missing(self, name: str) -> QueueSpec:
        arguments = self._with_priority(self._missing_arguments)
        return QueueSpec(_named(name), name, self._missing_exchange_type, name, arguments=arguments)

    def _spec(self, queue: Any) -> QueueSpec:
        """Read a queue by its attributes, so that `Queue` here and kombu's are understood alike."""
        if isinstance(queue, str):
            return self._missing(queue)
        name = getattr(queue, "name", None)
        if not isinstance(name, str) or not name:
            raise ImproperlyConfigured(
                f"task_queues holds {queue!r}, which is no queue; write a name or Queue(name, exchange, routing_key)."
            )
        exchange, exchange_type = _exchange(getattr(queue, "exchange", None))
        bindings = tuple(_binding(binding) for binding in getattr(queue, "bindings", None) or ())
        if bindings and not exchange:
            first, *rest = bindings
            exchange, exchange_type, key, bindings = first.exchange, first.exchange_type, first.routing_key, tuple(rest)
        else:
            key = getattr(queue, "routing_key", None) or self._default_key
        return QueueSpec(
            name,
            exchange or self._default_exchange,
            exchange_type if exchange else self._default_type,
            key,
            durable=bool(getattr(queue, "durable", True)),
            auto_delete=bool(getattr(queue, "auto_delete", False)),
            exclusive=bool(getattr(queue, "exclusive", False)),
            arguments=self._with_priority(_arguments(queue)),
            bindings=bindings,
        )

    def _from_options(self, name: str, options: Any) -> QueueSpec:
        """Read the value of one name in a ``task_queues`` mapping; ``binding_key`` is an old name of the key."""
        if options is None:
            return self._missing(name)
        if not isinstance(options, Mapping):
            raise ImproperlyConfigured(f"task_queues[{name!r}] must be a mapping of options, not {options!r}.")
        exchange, exchange_type = _exchange(options.get("exchange"))
        queue = Queue(
            name,
            Exchange(exchange, options.get("exchange_type") or exchange_type) if exchange else None,
            options.get("binding_key") or options.get("routing_key") or "",
            options.get("bindings") or (),
            options.get("queue_arguments"),
            options.get("durable", True),
            options.get("exclusive", False),
            options.get("auto_delete", False),
            **{key: options.get(key) for key in ("expires", "message_ttl", "max_length", "max_length_bytes")},
            max_priority=options.get("max_priority"),
        )
        return self._spec(queue)

    def _with_priority(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._max_priority is None or "x-max-priority" in arguments:
            return arguments
        return {**arguments, "x-max-priority": self._max_priority}


def _exchange(value: Any) -> tuple[str, str]:
    """Return name and type of an exchange given as a name, an object, or not at all."""
    if value is None or isinstance(value, str):
        return value or "", "direct"
    return str(getattr(value, "name", "") or ""), str(getattr(value, "type", "") or "direct")


def _binding(value: Any) -> Binding:
    exchange, exchange_type = _exchange(getattr(value, "exchange", None))
    return Binding(exchange, exchange_type, str(getattr(value, "routing_key", "") or ""))


def _arguments(queue: Any) -> Mapping[str, Any]:
    """Return AMQP's arguments of a queue: the given ones, and those that its attributes stand for."""
    arguments = dict(getattr(queue, "queue_arguments", None) or {})
    for attribute, argument in (("expires", "x-expires"), ("message_ttl", "x-message-ttl")):
        seconds = getattr(queue, attribute, None)
        if seconds is not None:
            arguments[argument] = int(seconds * 1000)
    for attribute in ("max_length", "max_length_bytes", "max_priority"):
        number = getattr(queue, attribute, None)
        if number is not None:
            arguments[f"x-{attribute.replace('_', '-')}"] = int(number)
    return arguments


def _type_arguments(queue_type: str) -> Mapping[str, Any]:
    """Return the arguments for a type of queue; RabbitMQ's classic one needs none."""
    return {} if queue_type == "classic" else {"x-queue-type": queue_type}


def _named(name: str) -> str:
    if not name:
        raise ImproperlyConfigured("The name of a queue cannot be empty; give one, or leave the option out.")
    if not is_text(name):
        raise ImproperlyConfigured(
            f"{name!r} cannot be the name of a queue: it must be valid text, without null characters."
        )
    return name
