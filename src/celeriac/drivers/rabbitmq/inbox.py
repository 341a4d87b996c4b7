"""Where the results of this process's tasks arrive: one queue, read on one channel for all who wait.

The queue is not tied to the connection: when that breaks, what comes meanwhile is there when the next one is made. The
server removes it when nobody has read it for a while, so that a process that dies leaves nothing behind.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from weakref import WeakMethod

from celeriac.drivers.rabbitmq.channel import Channel
from celeriac.drivers.rabbitmq.contents import read_properties
from celeriac.drivers.rabbitmq.errors import NODE_AWAY, ChannelClosed, LinkLost, LoginRefused, WireError
from celeriac.drivers.rabbitmq.kept import Kept
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.drivers.rabbitmq.publishing import Answer
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.forks import after_fork_in_child

__all__ = ["Inbox", "Waiter"]

log = logging.getLogger(__name__)

_MOST_UNSETTLED: Final = 100
"""Results that have come and are not acknowledged; after a lost connection they come again."""
_MOST_READS: Final = 10_000
"""Pieces that are taken in at one look."""
_PAUSE: Final = 0.1
"""Seconds between two attempts to have a queue."""


class Waiter:
    """Who waits for some ids. The inbox's lock guards its fields; `heard` and `waits` may be looked at without."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.waits = False
        """Whether it may stand still, and must be woken for what it hears of from another thread."""
        self.ids: set[str] = set()
        self.heard: dict[str, bytes] = {}


class Inbox:
    """The queue of one process, and what came. Thread-safe; raises `WireError`.

    `expires` is after how many seconds without a reader the server removes the queue; `most_bytes` is how much is kept
    of what nobody waits for. A forked child begins with a queue of its own, at its first use.
    """

    def __init__(self, links: Links, *, expires: float, most_bytes: int, patience: float) -> None:
        self._links = links
        self._expires = expires
        self._most_bytes = most_bytes
        self._patience = patience
        links.on_pulse = self._take_in_all
        self._epoch = 0
        self._begin()
        after_fork_in_child(self)

    def _begin(self) -> None:
        self._guard_opening = threading.Lock()
        self._lock = threading.Lock()
        self._name = str(uuid.uuid4())
        self._owner = os.getpid()
        self._channel: Channel | None = None
        self._reads: Channel | None = None  # the channel, while it is being made too
        self._came = self._settled = 0  # delivery tags of the channel
        self._kept = Kept(self._most_bytes)
        self._waiters: dict[str, set[Waiter]] = {}
        self.is_open = False

    def forget_parent(self) -> None:
        """Begin anew after a fork: what the parent has sent is answered to the parent."""
        self._epoch += 1
        self._begin()

    @property
    def is_at_hand(self) -> bool:
        """Whether the queue is there and is read, as far as is known."""
        channel = self._channel
        return channel is not None and channel.serves

    def address(self) -> str:
        """Return the name of the queue, which is there. Tries for as long as a send may take, as one would."""
        channel = self._channel
        if channel is not None and channel.serves:
            return self._name
        until = time.monotonic() + self._patience
        while True:
            try:
                self.channel()
            except LoginRefused:
                raise
            except LinkLost:
                if time.monotonic() + _PAUSE >= until:
                    raise
                time.sleep(_PAUSE)
            else:
                return self._name

    def channel(self) -> Channel:
        """Return the channel that the queue is read on, made now if need be."""
        channel = self._channel
        if channel is not None and channel.serves:
            return channel
        with self._guard_opening:
            channel = self._channel
            if channel is not None and channel.serves:
                return channel
            channel = opened = self._declared()
            with self._lock:
                self._reads, self._came, self._settled = opened, 0, 0
            channel.on_arrival = lambda: self._take_in(opened)
            channel.call("basic.consume", 0, self._name, "inbox", False, False, False, False, {})
            if not self.is_open:
                self.is_open = True
                _leave_at_exit(self)
            self._channel = channel
            return channel

    def _declared(self) -> Channel:
        """Return a channel; the queue is there. Where its node of a cluster is down, it is another from now on."""
        # Durable, as transient queues are to go from RabbitMQ; and it outlives a restart then.
        limits: dict[str, Any] = {"x-expires": max(1, int(self._expires * 1000))}
        while True:
            channel = Channel(self._links.link())
            try:
                channel.call("queue.declare", 0, self._name, False, True, False, False, False, limits)
            except ChannelClosed as error:
                if error.code != NODE_AWAY:
                    raise
                log.warning("Results of tasks that were sent before now may not arrive: %s", error)
                self._name = str(uuid.uuid4())
            else:
                return channel

    def fetch(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return what has come of these, whatever their state."""
        if self.is_open:
            self.channel()
            self._take_in_all()
        with self._lock:
            return {task_id: kept for task_id in ids if (kept := self._kept.payload(task_id)) is not None}

    def expect(self, task_id: str) -> Answer | None:
        """Implements `Answers`, by what is read of the queue while it is at hand."""
        channel = self._channel
        if channel is None or not channel.serves or self._has(task_id):
            return None
        return Answer(channel.link, lambda: self._has(task_id))

    def forget(self, ids: Iterable[str]) -> None:
        with self._lock:
            for task_id in ids:
                self._kept.drop(task_id)

    def wait(self, waiter: Waiter, until: float) -> dict[str, bytes]:
        """Return the ends that came for a waiter, as soon as there are any; empty at `until`."""
        while True:
            if waiter.epoch != self._epoch:
                raise LinkLost("the connection was closed")
            waiter.waits = True  # before the look: who adds what is there already looks at it afterwards
            if not waiter.heard and not self._wait(waiter, until):
                continue
            waiter.waits = False
            with self._lock:
                heard, waiter.heard = waiter.heard, {}
            self._settle(_MOST_UNSETTLED)
            if heard or (waiter.epoch == self._epoch and time.monotonic() >= until):
                return heard

    def _wait(self, waiter: Waiter, until: float) -> bool:
        """Wait until there is something for the waiter, or `until`; False when the connection was lost."""
        channel = self.channel()
        try:
            channel.wait_until(lambda: bool(waiter.heard) or waiter.epoch != self._epoch, until)
        except WireError as error:
            log.debug("The connection for results was lost: %s", error)
            if channel.link.is_open:
                time.sleep(_PAUSE)  # the queue was deleted: whoever does so may do so again
            return False
        return True

    def waiter(self) -> Waiter:
        return Waiter(self._epoch)

    def join(self, waiter: Waiter, ids: Collection[str]) -> None:
        """Have `waiter` hear of these too, and of what is there already."""
        with self._lock:
            for task_id in ids:
                waiter.ids.add(task_id)
                self._waiters.setdefault(task_id, set()).add(waiter)
                end = self._kept.end(task_id)
                if end is not None:
                    waiter.heard[task_id] = end
            is_to_wake = waiter.heard and waiter.waits
        channel = self._channel
        if is_to_wake and channel is not None:
            channel.link.wake()

    def part(self, waiter: Waiter, ids: Iterable[str] | None = None) -> None:
        """Have `waiter` hear of these no more; of nothing without `ids`."""
        with self._lock:
            for task_id in list(waiter.ids) if ids is None else ids:
                waiter.ids.discard(task_id)
                waiter.heard.pop(task_id, None)
                others = self._waiters.get(task_id)
                if others is not None:
                    others.discard(waiter)
                    if not others:
                        del self._waiters[task_id]

    def close(self) -> None:
        """Remove the queue, close the connection, and have all who wait raise. Raises nothing. Idempotent."""
        self._epoch += 1
        with self._guard_opening:
            channel, self._channel = self._channel, None
            was_open, self.is_open = self.is_open, False
        if was_open and self._owner == os.getpid() and channel is not None and channel.serves:
            try:
                with self._links.channel() as other:
                    other.call("queue.delete", 0, self._name, False, False, False)
            except WireError as error:
                log.debug("The queue for results is left to expire: %s", error)
        self._links.close()

    # -- what comes -------------------------------------------------------------------------------------------------

    def _has(self, task_id: str) -> bool:
        with self._lock:
            return self._kept.payload(task_id) is not None

    def _take_in_all(self) -> None:
        """Take in all that has come, also while nobody waits: what stays unread fills the server's memory."""
        channel = self._channel
        if channel is None or not channel.serves:
            return
        for _ in range(_MOST_READS):
            read_at = channel.link.read_at
            channel.link.look()
            if channel.link.read_at == read_at or not channel.is_open:
                break
        self._settle(1)

    def _take_in(self, channel: Channel) -> None:
        """Keep what came, and tell who waits. Called by the thread that reads."""
        with self._lock:
            while channel.arrivals:
                arrival = channel.arrivals.popleft()
                if channel is self._reads:
                    self._came = arrival.tag
                try:
                    task_id = read_properties(arrival.header)[1].correlation_id
                except TableError:
                    continue
                if not task_id or not self._kept.add(task_id, arrival.body, is_wanted=self._waiters.__contains__):
                    continue
                waiting = self._waiters.get(task_id)
                end = self._kept.end(task_id) if waiting else None
                if waiting and end is not None:
                    for waiter in waiting:
                        waiter.heard[task_id] = end

    def _settle(self, least: int) -> None:
        """Acknowledge what came, if it is so much."""
        with self._lock:
            channel, came = self._reads, self._came
            if channel is None or came - self._settled < least:
                return
            self._settled = came
        try:
            channel.send(method_frame(channel.number, "basic.ack", came, True))
        except WireError as error:
            log.debug("Results come again, since they could not be acknowledged: %s", error)


def _leave_at_exit(inbox: Inbox) -> None:
    """Remove the queue when the interpreter ends in its own time."""
    close = WeakMethod(inbox.close)

    def leave() -> None:
        alive = close()
        if alive is not None:
            alive()

    atexit.register(leave)
