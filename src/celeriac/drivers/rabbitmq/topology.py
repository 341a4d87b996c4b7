"""Making queues, exchanges and bindings known to the server, as stock Celery declares them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from celeriac.drivers.rabbitmq.channel import Channel
from celeriac.drivers.rabbitmq.delays import DELIVERY, declare_delays
from celeriac.drivers.rabbitmq.errors import NOT_FOUND, PRECONDITION_FAILED, ChannelClosed, LinkLost
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.exceptions import ImproperlyConfigured
from celeriac.routing.queues import Binding, QueueSpec

__all__ = ["Topology", "asking_count", "count_ready"]

log = logging.getLogger(__name__)

_UNKEYED: Final = frozenset({"fanout", "headers"})


class Topology:
    """Which queues are known to be there. Thread-safe; every method that asks the server takes a channel.

    `find` tells how a queue is to be made that nobody has declared here. What exists already is taken as it is.
    """

    def __init__(self, find: Callable[[str], QueueSpec], *, delay_type: str) -> None:
        self._find = find
        self._delay_type = delay_type
        self._guard_known = threading.Lock()
        self._known: dict[str, QueueSpec] = {}
        self._making: dict[tuple[int, str], Future[None]] = {}  # by process, for a child has not the threads that make
        self._replicated: set[str] = set()
        self._delayed: set[str] = set()
        self._has_delays = False

    def names(self) -> list[str]:
        """Return the queues that are known to be there, sorted."""
        with self._guard_known:
            return sorted(self._known)

    def knows(self, queue: str) -> bool:
        return queue in self._known

    def is_replicated(self, queue: str) -> bool:
        """Tell whether a queue is known to be a quorum queue."""
        return queue in self._replicated

    def forget(self, queue: str | None = None) -> None:
        """Take note that a queue may be gone; all of them, and what delays messages, without a name."""
        with self._guard_known:
            if queue is None:
                self._known.clear()
                self._has_delays = False
                self._delayed.clear()
            else:
                self._known.pop(queue, None)
                self._delayed.discard(queue)

    def ensure(self, open_channel: Callable[[], Channel], queue: str) -> None:
        """Make sure that a queue is there. Threads that want the same one wait for the first of them.

        Of a quorum queue that is being made the server tells others that it is there, and then fails to serve them.
        """
        if queue in self._known:
            return
        mine: Future[None] = Future()
        with self._guard_known:
            first = self._making.setdefault((os.getpid(), queue), mine)
        if first is not mine:
            first.result()
            return
        try:
            self.declare(open_channel, self._find(queue))
        except BaseException as error:
            mine.set_exception(error if isinstance(error, Exception) else LinkLost("the declaration was broken off"))
            raise
        else:
            mine.set_result(None)
        finally:
            with self._guard_known:
                del self._making[os.getpid(), queue]

    def ensure_delays(self, open_channel: Callable[[], Channel], queue: str) -> None:
        """Make sure that messages for a queue can be delayed."""
        if queue in self._delayed:
            return
        channel = open_channel()
        if not self._has_delays:
            declare_delays(channel, self._delay_type)
            self._has_delays = True
        # Exactly the 28 digits before the queue's name: with "#" the name "b" would take what is for "a.b", too.
        channel.call("queue.bind", 0, queue, DELIVERY, "*." * 28 + queue, False, {})
        with self._guard_known:
            self._delayed.add(queue)

    def declare(self, open_channel: Callable[[], Channel], spec: QueueSpec) -> None:
        """Make a queue with its exchanges and bindings. `open_channel` is asked again when the server refused.

        Raises `ImproperlyConfigured` when an exchange of another type is there already.
        """
        for binding in _bindings(spec):
            _declare_exchange(open_channel(), binding)
        is_replicated = _declare_queue(open_channel, spec)
        for binding in _bindings(spec):
            key = "" if binding.exchange_type in _UNKEYED else binding.routing_key
            open_channel().call("queue.bind", 0, spec.name, binding.exchange, key, False, {})
        with self._guard_known:
            self._known[spec.name] = spec
            (self._replicated.add if is_replicated else self._replicated.discard)(spec.name)

    def refresh(self, queues: Sequence[str]) -> None:
        """Take note that queues are there which somebody else has declared."""
        with self._guard_known:
            for queue in queues:
                self._known.setdefault(queue, QueueSpec(queue))


def asking_count(channel: Channel, queue: str) -> bytes:
    """Write the question that `count_ready` asks."""
    return method_frame(channel.number, "queue.declare", 0, queue, True, False, False, False, False, {})


def count_ready(channel: Channel, queue: str) -> int:
    """Return how many messages of a queue are ready. Raises `ChannelClosed` where there is no such queue.

    Of a quorum queue whose leader cannot be asked at this moment the server says 0.
    """
    channel.send(asking_count(channel, queue))
    ready: int = channel.answer("queue.declare-ok").arguments[1]
    return ready


def _bindings(spec: QueueSpec) -> list[Binding]:
    first = Binding(spec.exchange, spec.exchange_type, spec.routing_key)
    return [binding for binding in (first, *spec.bindings) if binding.exchange]


def _declare_exchange(channel: Channel, binding: Binding) -> None:
    try:
        channel.call(
            "exchange.declare", 0, binding.exchange, binding.exchange_type, False, True, False, False, False, {}
        )
    except ChannelClosed as error:
        if error.code == PRECONDITION_FAILED and "'type'" not in str(error):
            return  # another durability or other arguments, which do not matter for sending through it
        if error.code == PRECONDITION_FAILED:
            raise ImproperlyConfigured(
                f"Exchange {binding.exchange!r} exists with another type than {binding.exchange_type!r}: configure the"
                f" type that it has, or delete it. The server says: {error}"
            ) from error
        raise


def _declare_queue(open_channel: Callable[[], Channel], spec: QueueSpec) -> bool:
    """Make a queue, or take the one that is there. Tell whether it is a quorum queue."""
    arguments: Mapping[str, Any] = spec.arguments
    try:
        open_channel().call(
            "queue.declare", 0, spec.name, False, spec.durable, spec.exclusive, spec.auto_delete, False, arguments
        )
    except ChannelClosed as error:
        if error.code != PRECONDITION_FAILED:
            raise
        text = str(error)
        try:
            open_channel().call("queue.declare", 0, spec.name, True, False, False, False, False, {})
        except ChannelClosed as missing:
            if missing.code == NOT_FOUND:  # the arguments cannot be, whether it exists or not
                raise ImproperlyConfigured(f"Queue {spec.name!r} cannot be declared: {text}") from error
            raise
        log.warning("Queue %r exists, and is taken as it is, not as it is configured: %s", spec.name, text)
        return "'x-queue-type'" in text and "current is the value 'quorum'" in text
    return arguments.get("x-queue-type") == "quorum"
