"""Taking messages: exactly as many as are wanted, and none while nobody asks.

A consumer that stays would be sent new messages whenever something is acknowledged, also while its engine is busy for
minutes. So each claim asks how many are ready, begins a consumer with room for as many of them as are wanted, and ends
it when they have come. Where there was nothing a consumer waits, with room for one. When one came it stays, full: it
goes on when that is acknowledged by an engine that asks for the next in the same call, and ends otherwise. So it has
room only while its engine waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from celeriac.drivers.rabbitmq.channel import Arrival
from celeriac.drivers.rabbitmq.errors import QueueGone, WireError
from celeriac.drivers.rabbitmq.held import Held, Holdings
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import read
from celeriac.drivers.rabbitmq.taking import QUIET, Taker
from celeriac.drivers.rabbitmq.topology import asking_count
from celeriac.interfaces.broker import Delivery, Terms

__all__ = ["GoingOn", "Receiver"]

log = logging.getLogger(__name__)

_LEAST: Final = 0.1
"""Seconds of the shortest wait: where the server says that nothing is ready (see `count_ready`), the leader of a quorum
queue tells its consumer better."""
_MOST: Final = 128
"""The most that a claim takes. With 200 a task costs as much, and each engine takes 200 KiB more."""


class GoingOn:
    """A taker whose consumer has room when `settle` has acknowledged what it brought. Raises `WireError` kin."""

    def __init__(self, taker: Taker, queue: str, holdings: Holdings) -> None:
        self.taker = taker
        self.has_asked = False
        self._queue = queue
        self._holdings = holdings

    def settle(self, tags: Sequence[str]) -> None:
        """Acknowledge, and ask in the same write how many are ready, unless they come one by one."""
        channel, is_busy = self.taker.channel, self.taker.is_busy
        question = asking_count(channel, self._queue) if is_busy else b""
        self._holdings.ack(tags, going_on=channel, question=question)
        self.has_asked = is_busy and self.taker.goes_on([self._queue])


class Receiver:
    """Takes for any number of threads, each on a channel of its own. Raises `WireError` kin."""

    def __init__(
        self, links: Links, holdings: Holdings, ensure: Callable[[str], None], is_replicated: Callable[[str], bool]
    ) -> None:
        self._is_replicated = is_replicated
        self._links = links
        self._holdings = holdings
        self._ensure = ensure
        self._guard_idle = threading.Lock()
        self._idle: list[Taker] = []
        self._is_interrupted = False

    def going_on(self, queues: Sequence[str], settled: Iterable[Held]) -> GoingOn | None:
        """Return what may go on with these queues when these are acknowledged, to be handed to `receive_more`."""
        if len(queues) != 1:
            return None
        places = {(id(held.channel), held.number) for held in settled}
        link = self._links.current
        with self._guard_idle:
            for taker in self._idle:
                channel, standing = taker.channel, taker.channel.standing
                if (
                    standing is not None
                    and standing.queue == queues[0]
                    and standing.consumer in channel.lingering
                    and (id(channel), standing.number) in places
                    and channel.is_open
                    and channel.link is link
                ):
                    self._idle.remove(taker)
                    return GoingOn(taker, queues[0], self._holdings)
        return None

    def receive_more(self, going_on: GoingOn, queue: str, terms: Terms) -> list[Delivery]:
        """Return what is there beyond the one that the consumer has room for now; its room is for `receive`."""
        taker = going_on.taker
        try:
            ready: int = taker.channel.answer("queue.declare-ok").arguments[1] if going_on.has_asked else 0
            if not ready:
                return []
            came = self._gone_on(taker, queue, time.monotonic() + QUIET, waits=False)
            if len(came) >= terms.limit:
                return came
            self._end_standing(taker)
            rest = msgspec.structs.replace(terms, limit=terms.limit - len(came))
            return came + self._pulled(taker, [queue], rest, {queue: ready})
        except BaseException:
            taker.channel.abandon()
            raise
        finally:
            self._put_back(taker)

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> list[Delivery]:
        """See `Broker.receive`."""
        until, waits = time.monotonic() + max(wait, _LEAST), wait > 0
        for queue in queues:
            self._ensure(queue)
        taker = self._taken()
        try:
            if taker.goes_on(queues):
                return self._gone_on(taker, queues[0], until, waits=waits)
            self._end_standing(taker)
            deliveries = self._pulled(taker, queues, terms)
            if not deliveries and not self._was_interrupted(waits=waits) and time.monotonic() < until:
                deliveries = self._awaited(taker, queues, terms.limit, until, waits=waits)
        except QueueGone:  # nothing is on the way, and what is held of other queues stays
            raise
        except BaseException:
            taker.channel.abandon()  # what it was sent meanwhile nobody knows of
            raise
        finally:
            self._put_back(taker)
        return deliveries

    def interrupt(self) -> None:
        """Make a wait end. Safe in a signal handler."""
        self._is_interrupted = True
        link = self._links.current
        if link is not None:
            link.wake()

    def close(self) -> None:
        """Forget all channels, whose connection may end: what was settled has reached the queues. Raises nothing."""
        with self._guard_idle:
            idle, self._idle = self._idle, []
        for taker in idle:
            try:
                taker.sink()
            except WireError as error:
                log.debug("Messages that were acknowledged just now may come again: %s", error)

    def _gone_on(self, taker: Taker, queue: str, until: float, *, waits: bool) -> list[Delivery]:
        """Take what comes to the consumer that stands, and has room."""
        arrivals = taker.go_on(until, self._interrupted)
        if not arrivals:
            self._was_interrupted(waits=waits)
        return self._held(taker, [(queue, arrival) for arrival in arrivals])

    def _end_standing(self, taker: Taker) -> None:
        """Have no consumer go on; what came to one that had room goes back."""
        standing = taker.channel.standing
        if standing is not None and not standing.number:
            taker.give_back(taker.go_on(0.0, _always))
        taker.channel.standing = None

    def _pulled(
        self, taker: Taker, queues: Sequence[str], terms: Terms, counted: Mapping[str, int] | None = None
    ) -> list[Delivery]:
        deliveries: list[Delivery] = []
        limit = min(terms.limit, _MOST)
        if limit > terms.freely:
            counted = counted or {queue: taker.count(queue, of=len(queues)) for queue in queues}
            limit = min(limit, terms.share_of(sum(counted.values())))
        for queue in queues:
            try:
                ready = counted[queue] if counted else taker.count(queue, of=len(queues))
            except QueueGone:
                if deliveries:
                    break  # the next call says so
                raise
            room = min(ready, limit - len(deliveries))
            if room:
                deliveries += self._held(taker, [(queue, arrival) for arrival in taker.pull(queue, room)])
            if len(deliveries) >= limit:
                break
        return deliveries

    def _awaited(self, taker: Taker, queues: Sequence[str], limit: int, until: float, *, waits: bool) -> list[Delivery]:
        arrivals = taker.wait(queues, until, self._interrupted)
        if not arrivals:
            self._was_interrupted(waits=waits)
            return []
        if len(arrivals) > limit:
            taker.give_back(arrivals[limit:])
        return self._held(taker, [(queue, arrival) for queue, arrival in taker.named(arrivals[:limit])])

    def _held(self, taker: Taker, taken: Sequence[tuple[str, Arrival]]) -> list[Delivery]:
        now = time.monotonic()
        helds, contents = [], []
        for queue, arrival in taken:
            content = read(arrival.header, arrival.body)
            contents.append((content, arrival.redelivered))
            helds.append(
                Held(
                    queue,
                    taker.channel,
                    arrival.tag,
                    arrival,
                    content.crashes,
                    content.deliveries,
                    now,
                    returns_as=content.crashes,
                )
            )
        leases = self._holdings.add(helds)
        return [
            Delivery(lease, content.message, content.priority, is_again or content.crashes > 0, content.crashes)
            for lease, (content, is_again) in zip(leases, contents, strict=True)
        ]

    def _interrupted(self) -> bool:
        return self._is_interrupted

    def _was_interrupted(self, *, waits: bool) -> bool:
        """Tell whether this call is to end at once. Only one that `waits` spends that: it may be meant for the next."""
        was = self._is_interrupted
        if waits:
            self._is_interrupted = False
        return was

    def _taken(self) -> Taker:
        link = self._links.link()
        with self._guard_idle:
            while self._idle:
                taker = self._idle.pop()
                if taker.channel.is_open and taker.channel.link is link:
                    return taker
        return Taker(link, self._is_replicated)

    def _put_back(self, taker: Taker) -> None:
        if taker.channel.is_open:
            with self._guard_idle:
                self._idle.append(taker)


def _always() -> bool:
    return True
