"""The route of one task: ``task_routes``, the options of the call, and the queues that are known."""

from __future__ import annotations

import fnmatch
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured, QueueNotFound
from celeriac.routing.queues import Queues, QueueSpec, Route, RoutingConf
from celeriac.types import Args, Kwargs

Decision: TypeAlias = Mapping[str, Any]
"""What a route says: where to (`DESTINATION`), and other options of the call."""

Rule: TypeAlias = Callable[[str, Args, Kwargs, Mapping[str, Any], Any], Decision | None]
"""One entry of ``task_routes``: name, args, kwargs, options and task in, a decision or None for no opinion out."""

DESTINATION: Final[tuple[str, ...]] = ("queue", "exchange", "exchange_type", "routing_key")
"""The options that say where a message goes."""

_NOWHERE: Final[Decision] = {}
_MOST_CACHED = 10_000


class Routed(Struct, frozen=True):
    """Where a message goes, and the options that hold for it: the route's, overruled by those of the call."""

    route: Route
    options: Mapping[str, Any] = {}


class Router:
    """Find the route of tasks, by the settings as they were when it was made. Thread-safe.

    When it `is_static`, a route follows from the task's name and the call's options alone: no function is asked.
    Raises `ImproperlyConfigured` for a ``task_routes`` that cannot be understood.
    """

    def __init__(self, conf: RoutingConf) -> None:
        self.queues: Queues = Queues(conf)
        self._rules = tuple(_rules(conf.task_routes))
        self.is_static: bool = all(isinstance(rule, _Table) for rule in self._rules)
        self._plain: dict[str, Routed] = {}

    def route(
        self,
        name: str,
        args: Args = (),
        kwargs: Kwargs | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        task: Any = None,
    ) -> Routed:
        """Return the route of one call of the task `name`.

        Options of the call win over those of the route, unless they are None. A queue or an exchange in the call
        replaces the route's whole destination; a routing key alone refines it. Raises `QueueNotFound`.
        """
        said = {key: value for key, value in options.items() if value is not None} if options else {}
        if not said:
            known = self._plain.get(name)
            if known is not None:
                return known
        decision = self._decide(name, args, kwargs or {}, said, task)
        if "queue" in said or "exchange" in said:
            decision = {key: value for key, value in decision.items() if key not in DESTINATION}
        merged = {**decision, **said}
        destination = {key: merged.pop(key) for key in DESTINATION if key in merged}
        routed = Routed(self._resolve(destination), merged)
        if self.is_static and not said:
            if len(self._plain) >= _MOST_CACHED:  # names come from callers
                self._plain.clear()
            self._plain[name] = routed
        return routed

    def select(self, queues: Sequence[str] | None = None, exclude: Sequence[str] = ()) -> Sequence[QueueSpec]:
        """Return what a worker consumes; see `Queues.select`."""
        return self.queues.select(queues, exclude)

    def _decide(self, name: str, args: Args, kwargs: Kwargs, options: Mapping[str, Any], task: Any) -> Decision:
        for rule in self._rules:
            decision = rule(name, args, kwargs, options, task)
            if decision is not None:
                return {key: value for key, value in decision.items() if value is not None}
        return _NOWHERE

    def _resolve(self, destination: Mapping[str, Any]) -> Route:
        queue = destination.get("queue")
        exchange = _name(destination.get("exchange"))
        key = destination.get("routing_key") or ""
        if queue is None and exchange is not None:
            return self._by_binding(exchange, key)
        spec = self._queue(queue)
        kind = destination.get("exchange_type") or spec.exchange_type
        if exchange and key:
            return Route(spec.name, exchange, key)
        if kind == "direct":
            # The nameless exchange knows every queue by its name, so no binding can be missing. As stock Celery does.
            return Route(spec.name, "", spec.name)
        if queue is None and key:
            return self._by_binding(spec.exchange, key)
        return Route(spec.name, exchange or spec.exchange, key or spec.routing_key)

    def _queue(self, queue: Any) -> QueueSpec:
        if queue is None:
            return self.queues.get(self.queues.default)
        return self.queues.get(queue) if isinstance(queue, str) else self.queues.add(queue)

    def _by_binding(self, exchange: str, key: str) -> Route:
        """Find the queue that an exchange would put the message into.

        An exchange of which no queue is known is somebody else's: the message is published there, and stores without
        exchanges put it into the default queue.
        """
        if not exchange and key:
            return Route(self.queues.get(key).name, "", key)
        bound = self.queues.bound_to(exchange)
        if not bound:
            return Route(self._queue(None).name, exchange, key)
        for spec, binding in bound:
            if binding_matches(binding.exchange_type, binding.routing_key, key or binding.routing_key):
                return Route(spec.name, exchange, key or binding.routing_key)
        known = ", ".join(f"{binding.routing_key!r} to {spec.name}" for spec, binding in bound)
        raise QueueNotFound(f"No queue takes the routing key {key!r} of exchange {exchange!r}; it has: {known}.")


def binding_matches(kind: str, pattern: str, key: str) -> bool:
    """Say whether a binding takes a routing key. In a topic's pattern ``*`` is one word, ``#`` any number of words."""
    if kind == "fanout":
        return True
    if kind != "topic":
        return pattern == key
    return _words_match(tuple(pattern.split(".")), tuple(key.split(".")))


def _words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    # `reached` holds the positions in the pattern that the words so far can end at; a `#` may be passed over.
    reached = _past_hashes(pattern, {0})
    for word in words:
        stepped = {
            at if pattern[at] == "#" else at + 1 for at in reached if at < len(pattern) and _takes(pattern[at], word)
        }
        reached = _past_hashes(pattern, stepped)
    return len(pattern) in reached


def _takes(part: str, word: str) -> bool:
    return part in ("#", "*") or part == word


def _past_hashes(pattern: tuple[str, ...], positions: set[int]) -> set[int]:
    reached = set(positions)
    for start in positions:
        at = start
        while at < len(pattern) and pattern[at] == "#":
            at += 1
            reached.add(at)
    return reached


class _Table:
    """A rule made of names and patterns: an exact name first, then the patterns in the order written."""

    def __init__(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        self._exact: dict[str, Decision] = {}
        self._patterns: list[tuple[re.Pattern[str], Decision]] = []
        for pattern, value in pairs:
            decision = _decision(value, f"task_routes[{pattern!r}]")
            if isinstance(pattern, re.Pattern):
                self._patterns.append((pattern, decision))
            elif not isinstance(pattern, str):
                raise ImproperlyConfigured(f"task_routes names {pattern!r}; write a task name, a pattern or a regex.")
            elif any(sign in pattern for sign in "*?["):
                self._patterns.append((re.compile(fnmatch.translate(pattern)), decision))
            else:
                self._exact[pattern] = decision

    def __call__(
        self, name: str, _args: Args, _kwargs: Kwargs, _options: Mapping[str, Any], _task: Any
    ) -> Decision | None:
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        return next((decision for pattern, decision in self._patterns if pattern.match(name)), None)


class _Imported:
    """A rule named by its path, imported when it is first asked: it may live in a module that imports the app."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rule: Rule | None = None

    def __call__(self, name: str, args: Args, kwargs: Kwargs, options: Mapping[str, Any], task: Any) -> Decision | None:
        if self._rule is None:
            found = _import(self._path)
            self._rule = _rule(found() if isinstance(found, type) else found)
        return self._rule(name, args, kwargs, options, task)


def _rules(routes: Any) -> Sequence[Rule]:
    if routes is None:
        return ()
    if isinstance(routes, list | tuple):
        return [_rule(entry) for entry in routes]
    return [_rule(routes)]


def _rule(entry: Any) -> Rule:
    if isinstance(entry, str):
        return _Imported(entry)
    if isinstance(entry, Mapping):
        return _Table(list(entry.items()))
    if isinstance(entry, list | tuple):
        return _Table([_pair(item) for item in ([entry] if _is_pair(entry) else entry)])
    if isinstance(entry, type) and hasattr(entry, "route_for_task"):
        entry = entry()
    if hasattr(entry, "route_for_task"):
        return _asking_object(entry)
    if callable(entry):
        return _asking_function(entry)
    raise ImproperlyConfigured(f"task_routes holds {entry!r}, which is no mapping, no function and no path to one.")


def _is_pair(entry: Sequence[Any]) -> bool:
    return len(entry) == 2 and isinstance(entry[0], str | re.Pattern) and isinstance(entry[1], str | Mapping)


def _pair(item: Any) -> tuple[Any, Any]:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise ImproperlyConfigured(f"task_routes holds {item!r}; write pairs of a pattern and a queue or options.")
    return item[0], item[1]


def _asking_object(router: Any) -> Rule:
    def ask(name: str, args: Args, kwargs: Kwargs, _options: Mapping[str, Any], _task: Any) -> Decision | None:
        return _answer(router.route_for_task(name, args, kwargs), router)

    return ask


def _asking_function(router: Callable[..., Any]) -> Rule:
    def ask(name: str, args: Args, kwargs: Kwargs, options: Mapping[str, Any], task: Any) -> Decision | None:
        return _answer(router(name, args, kwargs, options, task=task), router)

    return ask


def _answer(answer: Any, router: Any) -> Decision | None:
    return None if answer is None else _decision(answer, f"the router {router!r}")


def _decision(value: Any, place: str) -> Decision:
    if isinstance(value, str):
        return {"queue": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise ImproperlyConfigured(f"{place} gives {value!r}; write the name of a queue or a mapping of options.")


def _import(path: str) -> Any:
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(f"task_routes names {path!r}, which cannot be imported: {error}.") from error


def _name(exchange: Any) -> str | None:
    """Return the name of an exchange given as text or as an object."""
    return exchange if exchange is None or isinstance(exchange, str) else str(exchange.name)
