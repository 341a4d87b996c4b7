"""Taking messages: exactly as many as are wanted, and none while nobody asks.

A consumer that stays would be sent new messages whenever something is acknowledged, also while its engine is busy for
minutes. So each claim asks how many are ready, begins a consumer with room for as many of them as are wanted, and ends
it when they have come. Where there was nothing a consumer waits, with room for one. When one came it stays, full: it
goes on when that is acknowledged by an engine that asks for the next in the same call, and ends otherwise. So it has
room only while its engine waits.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from celeriac.drivers.rabbitmq.channel import Arrival, Channel, Standing
from celeriac.drivers.rabbitmq.errors import NOT_FOUND, ChannelClosed, WireError
from celeriac.drivers.rabbitmq.held import Held, Holdings
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import read
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.drivers.rabbitmq.topology import asking_count, count_ready
from celeriac.interfaces.broker import Delivery, Terms

__all__ = ["GoingOn", "Receiver"]

log = logging.getLogger(__name__)

_QUIET: Final = 0.005
"""Seconds without a message after which no more are expected."""
_LEAST: Final = 0.1
"""Seconds of the shortest wait: where the server says that nothing is ready (see `count_ready`), the leader of a quorum
queue tells its consumer better."""
_SOON: Final = 0.002
"""Seconds within which a message comes that was ready before it was asked for."""
_SINKING: Final = 5.0
"""Seconds that a busy server is given to take in what was settled before the connection ends."""
_MOST: Final = 128
"""The most that a claim takes. With 200 a task costs as much, and each engine takes 200 KiB more."""


class Taker:
    """A channel that takes for one thread at a time, and holds what it took."""

    def __init__(self, link: Link, is_replicated: Callable[[str], bool]) -> None:
        self.channel = Channel(link)
        self.is_busy = False
        """Whether the message that came last did so at once: then there may be more."""
        self._is_replicated = is_replicated
        self._numbers = itertools.count()
        self._queues: dict[str, str] = {}

    def named(self, arrivals: Sequence[Arrival]) -> list[tuple[str, Arrival]]:
        """Return what came of the last `wait` with the names of the queues."""
        return [(self._queues[arrival.consumer], arrival) for arrival in arrivals]

    def pull(self, queue: str, room: int) -> list[Arrival]:
        """Take so many messages, which were ready a moment ago."""
        channel = self.channel
        name = f"{next(self._numbers):x}"
        self._begin(room, [self._consume(queue, name)])
        came = -1
        while came < len(channel.arrivals) < room:  # where they stop, somebody else was faster
            came = len(channel.arrivals)
            channel.wait_until(lambda: len(channel.arrivals) >= room, time.monotonic() + _QUIET)
        # A quorum queue sends what is still on its way to an ended consumer to others, as given back. So none is ended
        # before there is nothing on the way; and 3.10 dies of one that is ended before its begin was confirmed.
        if len(channel.arrivals) >= room:
            self._let_linger({name: queue})
        else:
            self._end([name])
            self._go_on({name: queue})
        return self._taken([name])

    def wait(self, queues: Sequence[str], until: float, is_interrupted: Callable[[], bool]) -> list[Arrival]:
        """Wait for one message of any of the queues; more come when several queues have one at once."""
        channel = self.channel
        names = self._queues = {f"{next(self._numbers):x}": queue for queue in queues}
        channel.cancelled.clear()
        self._begin(1, [self._consume(queue, name) for name, queue in names.items()])
        channel.wait_until(lambda: bool(channel.arrivals) or self._is_deleted() or is_interrupted(), until)
        came = {arrival.consumer for arrival in list(channel.arrivals)}  # a copy: another thread may read for us
        full = {name: queue for name, queue in names.items() if name in came}
        self._let_linger(full)
        self.is_busy = False
        if len(queues) == 1 and full:
            ((name, queue),) = full.items()
            number = next(arrival.tag for arrival in list(channel.arrivals) if arrival.consumer == name)
            channel.standing = Standing(name, queue, channel.lingering[name], number)
        self._end([name for name in names if name not in full])
        if self._is_deleted() and not channel.arrivals:
            raise ChannelClosed(NOT_FOUND, "a queue was deleted, or its node is away")
        return self._taken(names)

    def goes_on(self, queues: Sequence[str]) -> bool:
        """Tell whether a consumer of this queue stands, and has room."""
        standing = self.channel.standing
        return standing is not None and not standing.number and [standing.queue] == list(queues)

    def go_on(self, until: float, is_interrupted: Callable[[], bool]) -> list[Arrival]:
        """Wait for one message of the consumer that stands, and has room."""
        channel, standing = self.channel, self.channel.standing
        assert standing is not None
        began = time.monotonic()
        channel.wait_until(lambda: bool(channel.arrivals) or self._is_deleted() or is_interrupted(), until)
        came = [arrival.tag for arrival in list(channel.arrivals) if arrival.consumer == standing.consumer]
        if came:
            standing.number = came[0]
            channel.lingering[standing.consumer] = standing.mark
            self.is_busy = time.monotonic() - began < _SOON
            return self._taken([standing.consumer])
        channel.standing = None
        self._end([standing.consumer])
        self._go_on({standing.consumer: standing.queue})
        if self._is_deleted() and not channel.arrivals:
            raise ChannelClosed(NOT_FOUND, "a queue was deleted, or its node is away")
        return self._taken([standing.consumer])

    def give_back(self, arrivals: Sequence[Arrival]) -> None:
        """Put back what is more than was wanted."""
        ending, _ = self.channel.ending(each.consumer for each in arrivals)  # they held one each
        frames = [method_frame(self.channel.number, "basic.nack", each.tag, False, True) for each in arrivals]
        self.channel.send(b"".join([ending, *frames]))

    def sink(self) -> None:
        """Wait until quorum queues have been told of all that was settled here, so that the connection may end.

        While one is busy the server's side of a channel keeps that to itself, and forgets it with the connection: of
        1,000 messages that were acknowledged one by one just before, 645 came again (3.10). It answers a question about
        the queue when it has told it all: then none came.
        """
        for queue in self.channel.settled:
            self.channel.send(asking_count(self.channel, queue))
            self.channel.answer("queue.declare-ok", patience=_SINKING)

    def _taken(self, consumers: Collection[str]) -> list[Arrival]:
        """Return what came for these. What came for others, whose queue was made anew as another type, goes back."""
        came = self.channel.arrivals
        arrivals = [came.popleft() for _ in range(len(came))]
        taken = [arrival for arrival in arrivals if arrival.consumer in consumers]
        if len(taken) < len(arrivals):
            self.give_back([arrival for arrival in arrivals if arrival.consumer not in consumers])
        return taken

    def _begin(self, room: int, consumers: Sequence[bytes]) -> None:
        """Begin consumers that have room for so many messages each."""
        channel, is_new = self.channel, room != self.channel.room
        frames = [method_frame(channel.number, "basic.qos", 0, room, False)] if is_new else []
        channel.send(b"".join([*frames, *consumers]))
        if is_new:
            channel.answer("basic.qos-ok")
            channel.room = room
        for _ in consumers:
            channel.answer("basic.consume-ok")

    def _consume(self, queue: str, name: str) -> bytes:
        return method_frame(self.channel.number, "basic.consume", 0, queue, name, False, False, False, False, {})

    def _end(self, names: Sequence[str]) -> None:
        """End consumers, and take in what they are still sent."""
        if names:
            self.channel.send(
                b"".join(method_frame(self.channel.number, "basic.cancel", each, False) for each in names)
            )
            for _ in names:
                self.channel.answer("basic.cancel-ok")

    def _let_linger(self, consumers: Mapping[str, str]) -> None:
        """Leave consumers whose room is full as they are; `consumers` are tags with their queues."""
        marks = {name: queue if self._is_replicated(queue) else "" for name, queue in consumers.items()}
        self.channel.lingering.update(marks)

    def _go_on(self, consumers: Mapping[str, str]) -> None:
        """Have consumers that were ended with something in their hands go on with it, where that is of use."""
        taken = {arrival.consumer for arrival in list(self.channel.arrivals)}
        again = {name: queue for name, queue in consumers.items() if name in taken and self._is_replicated(queue)}
        if again:
            self.channel.send(self.channel.going_on(again))

    def _is_deleted(self) -> bool:
        """Tell whether the server has ended a consumer of the last `wait`."""
        return any(each in self._queues for each in self.channel.cancelled)


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
            came = self._gone_on(taker, queue, time.monotonic() + _QUIET, waits=False)
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
        taker = self._taken()
        try:
            if taker.goes_on(queues):
                return self._gone_on(taker, queues[0], until, waits=waits)
            self._end_standing(taker)
            deliveries = self._pulled(taker, queues, terms)
            if not deliveries and not self._was_interrupted(waits=waits) and time.monotonic() < until:
                deliveries = self._awaited(taker, queues, terms.limit, until, waits=waits)
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
            counted = counted or {queue: self._ready(taker, queue) for queue in queues}
            limit = min(limit, terms.share_of(sum(counted.values())))
        for queue in queues:
            ready = counted[queue] if counted else self._ready(taker, queue)
            room = min(ready, limit - len(deliveries))
            if room:
                deliveries += self._held(taker, [(queue, arrival) for arrival in taker.pull(queue, room)])
            if len(deliveries) >= limit:
                break
        return deliveries

    def _ready(self, taker: Taker, queue: str) -> int:
        self._ensure(queue)
        return count_ready(taker.channel, queue)

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
