"""One channel that takes: consumers that begin with room for so many messages, and end or stay, see `receiving`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from celeriac.drivers.rabbitmq.channel import Arrival, Channel, Standing
from celeriac.drivers.rabbitmq.errors import NOT_FOUND, ChannelClosed, QueueGone
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.drivers.rabbitmq.topology import asking_count, count_ready

__all__ = ["QUIET", "Taker"]

QUIET: Final = 0.005
"""Seconds without a message after which no more are expected."""
_SOON: Final = 0.002
"""Seconds within which a message comes that was ready before it was asked for."""
_SINKING: Final = 5.0
"""Seconds that a busy server is given to take in what was settled before the connection ends."""


class Taker:
    """A channel that takes for one thread at a time, and holds what it took."""

    def __init__(self, link: Link, is_replicated: Callable[[str], bool]) -> None:
        self.channel = Channel(link)
        self.is_busy = False
        """Whether the message that came last did so at once: then there may be more."""
        self._counting: Channel | None = None
        self._is_replicated = is_replicated
        self._numbers = itertools.count()
        self._queues: dict[str, str] = {}

    def named(self, arrivals: Sequence[Arrival]) -> list[tuple[str, Arrival]]:
        """Return what came of the last `wait` with the names of the queues."""
        return [(self._queues[arrival.consumer], arrival) for arrival in arrivals]

    def count(self, queue: str, *, of: int) -> int:
        """Return how many messages of a queue, one of so many that are asked for, are ready. Raises `QueueGone`.

        The server closes the channel that asks for a queue which was deleted. With one queue that loses nothing; with
        others it must not be the channel that holds their messages.
        """
        channel = self.channel
        if of > 1:
            if self._counting is None or not self._counting.is_open:
                self._counting = Channel(channel.link)
            channel = self._counting
        try:
            return count_ready(channel, queue)
        except ChannelClosed as error:
            raise QueueGone(error.code, str(error)) from error

    def pull(self, queue: str, room: int) -> list[Arrival]:
        """Take so many messages, which were ready a moment ago."""
        channel = self.channel
        name = f"{next(self._numbers):x}"
        self._begin(room, [self._consume(queue, name)])
        came = -1
        while came < len(channel.arrivals) < room:  # where they stop, somebody else was faster
            came = len(channel.arrivals)
            channel.wait_until(lambda: len(channel.arrivals) >= room, time.monotonic() + QUIET)
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
            raise QueueGone(NOT_FOUND, "a queue was deleted, or its node is away")
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
            raise QueueGone(NOT_FOUND, "a queue was deleted, or its node is away")
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
