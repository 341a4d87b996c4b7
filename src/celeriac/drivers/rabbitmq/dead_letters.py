"""Reading dead letters and deciding about them: a queue can only be taken whole, so one looks at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from celeriac.drivers.rabbitmq.channel import Arrival, Channel
from celeriac.drivers.rabbitmq.contents import read_properties
from celeriac.drivers.rabbitmq.dead import DIED, ID, INDEX, MARKED, REASON, dead_queue
from celeriac.drivers.rabbitmq.errors import (
    BROKER,
    NOT_FOUND,
    RESOURCE_LOCKED,
    ChannelClosed,
    NoAnswer,
    NotTaken,
    WireError,
    translate,
)
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import copied, read
from celeriac.drivers.rabbitmq.methods import method_frame
from celeriac.drivers.rabbitmq.publishing import Post
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.interfaces.dead_letters import DeadLetter

__all__ = ["RabbitDeadLetters"]

_TURN: Final = "celeriac.dead.turn"
"""An exclusive queue: whose connection has it may look, and it ends with the connection."""
_PATIENCE: Final = 30.0
"""Seconds to wait for one's turn."""
_PAUSE: Final = 0.02
_ROOM: Final = 65_535
"""The most messages that one consumer can hold."""


class _Letter(Struct, frozen=True):
    arrival: Arrival
    letter: DeadLetter


_CarryOut = Callable[[Sequence[_Letter]], Sequence[_Letter]]
"""Does what was decided about letters; returns those with which that is done."""


class RabbitDeadLetters:
    """The dead-letter contract on the queues that `Cemetery` fills. Thread-safe.

    A look takes all letters of a queue, and gives back what stays: its cost grows with their number. `publish` sends
    messages to queues of the application, and returns the positions of those that were not taken.
    """

    def __init__(self, links: Links, publish: Callable[[Sequence[Post], Sequence[str]], Sequence[int]]) -> None:
        self._links = links
        self._publish = publish

    def queues(self) -> Sequence[str]:
        with self._my_turn("looking for dead letters"):
            names = {arrival.body.decode("utf-8", "replace") for arrival in self._all_of(INDEX)}
            return sorted(name for name in names if self._count(name))

    def page(self, queue: str, *, limit: int, after: str | None = None) -> Sequence[DeadLetter]:
        with self._my_turn(f"reading the dead letters of queue {queue!r}"), self._opened(queue) as letters:
            older = [each.letter for each in letters if after is None or each.letter.id < after]
            return sorted(older, key=lambda letter: letter.id, reverse=True)[:limit]

    def fetch(self, ids: Sequence[str]) -> Mapping[str, DeadLetter]:
        found: dict[str, DeadLetter] = {}
        if _by_queue(ids):
            with self._my_turn("reading dead letters"):
                for queue, wanted in _by_queue(ids).items():
                    with self._opened(queue) as letters:
                        found.update((each.letter.id, each.letter) for each in letters if each.letter.id in wanted)
        return {each: found[each] for each in ids if each in found}

    def requeue(self, ids: Sequence[str]) -> Sequence[str]:
        def give_back(letters: Sequence[_Letter]) -> Sequence[_Letter]:
            order = {each: place for place, each in enumerate(ids)}
            letters = sorted(letters, key=lambda each: order[each.letter.id])
            posts = [
                Post("", each.letter.queue, copied(each.arrival.header, extra={}), each.arrival.body)
                for each in letters
            ]
            refused: set[int] = set()
            for start in range(0, len(posts), 1000):
                part = posts[start : start + 1000]
                refused.update(start + place for place in self._publish(part, [post.routing_key for post in part]))
            return [each for place, each in enumerate(letters) if place not in refused]

        return self._decide("giving dead letters back", ids, give_back)

    def remove(self, ids: Sequence[str]) -> Sequence[str]:
        return self._decide("removing dead letters", ids, _let_go)

    def purge(self, queue: str, *, before: float | None = None) -> int:
        with self._my_turn(f"purging the dead letters of queue {queue!r}"), self._opened(queue) as letters:
            old = [each for each in letters if before is None or each.letter.died < before]
            letters.take_out(old)
            return len(old)

    def _decide(self, doing: str, ids: Sequence[str], carry_out: _CarryOut) -> Sequence[str]:
        missing = dict.fromkeys(ids)
        if _by_queue(ids):
            with self._my_turn(doing):
                for queue, wanted in _by_queue(ids).items():
                    with self._opened(queue) as letters:
                        chosen = [each for each in letters if each.letter.id in wanted]
                        done = carry_out(chosen)
                        letters.take_out(done)
                        for each in done:
                            del missing[each.letter.id]
                    if len(done) < len(chosen):
                        raise NotTaken(queue)
        return list(missing)

    # -- looking ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _opened(self, queue: str) -> Iterator[_Letters]:
        """Give all letters of a queue; what was not taken out is where it was afterwards."""
        channel = Channel(self._links.link())
        try:
            arrivals = _take_all(channel, dead_queue(queue))
            yield _Letters(channel, [_Letter(arrival, _letter(arrival, queue)) for arrival in arrivals])
        finally:
            channel.close()

    def _all_of(self, queue: str) -> list[Arrival]:
        channel = Channel(self._links.link())
        try:
            return _take_all(channel, queue)
        finally:
            channel.close()

    def _count(self, queue: str) -> int:
        channel = Channel(self._links.link())
        try:
            return _ready(channel, dead_queue(queue))
        finally:
            channel.close()

    @contextmanager
    def _my_turn(self, doing: str) -> Iterator[None]:
        """Wait until nobody else looks at dead letters, in any process."""
        try:
            channel = self._turn()
            try:
                yield
            finally:
                if channel.is_open:
                    channel.call("queue.delete", 0, _TURN, False, False, False)
                    channel.close()
        except WireError as error:
            raise translate(error, kind=BROKER, doing=doing, location=self._links.connector.address.location) from error

    def _turn(self) -> Channel:
        until = time.monotonic() + _PATIENCE
        while True:
            channel = Channel(self._links.link())
            try:
                # Several threads share a connection, for which an exclusive queue is one; a consumer is not shared.
                channel.call("queue.declare", 0, _TURN, False, False, True, True, False, {})
                channel.call("basic.consume", 0, _TURN, "", False, False, True, False, {})
                return channel
            except ChannelClosed as error:
                if error.code not in (RESOURCE_LOCKED, NOT_FOUND, 403):
                    raise
                if time.monotonic() > until:
                    raise NoAnswer("somebody else has been looking at the dead letters for too long") from error
            time.sleep(_PAUSE)


class _Letters:
    """All letters of a queue, held on a channel."""

    def __init__(self, channel: Channel, letters: Sequence[_Letter]) -> None:
        self._channel = channel
        self._letters = letters

    def __iter__(self) -> Iterator[_Letter]:
        return iter(self._letters)

    def take_out(self, letters: Sequence[_Letter]) -> None:
        """Remove these for good."""
        if not letters:
            return
        number = self._channel.number
        frames = [method_frame(number, "basic.ack", each.arrival.tag, False) for each in letters]
        self._channel.send(b"".join(frames))


def _take_all(channel: Channel, queue: str) -> list[Arrival]:
    """Take what is in a queue and hold it on the channel; nothing, where there is no such queue."""
    count = _ready(channel, queue)
    while not count:
        if not channel.is_open:
            return []
        # A busy quorum queue is said to be empty: so one letter is asked for, and put back.
        one = channel.get(queue)
        if one is None:
            return []
        channel.send(method_frame(channel.number, "basic.nack", one.tag, False, True))
        count = _ready(channel, queue)
    # Without a number, a consumer of a quorum queue gets 2,000 messages and no more.
    channel.call("basic.qos", 0, min(count, _ROOM), False)
    for _ in range(0, count, _ROOM):
        channel.call("basic.consume", 0, queue, "", False, False, False, False, {})
    channel.wait(lambda: len(channel.arrivals) >= count, "all dead letters")
    return list(channel.arrivals)


def _ready(channel: Channel, queue: str) -> int:
    try:
        count: int = channel.call("queue.declare", 0, queue, True, False, False, False, False, {}).arguments[1]
        return count
    except ChannelClosed as error:
        if error.code == NOT_FOUND:
            return 0
        raise


def _letter(arrival: Arrival, queue: str) -> DeadLetter:
    content = read(arrival.header, arrival.body)
    try:
        headers = read_properties(arrival.header)[1].headers or {}
    except TableError:
        headers = {}
    died = headers.get(DIED)
    return DeadLetter(
        id=str(headers.get(ID) or f"0:{queue}"),
        queue=queue,
        died=float(died) if isinstance(died, int | float) else 0.0,
        reason=str(headers.get(REASON, "")),
        message=content.message,
        redelivered=headers.get(MARKED) is True,
    )


def _let_go(letters: Sequence[_Letter]) -> Sequence[_Letter]:
    return letters


def _by_queue(ids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in ids:
        number, colon, queue = each.partition(":")
        if number and colon and queue:
            found.setdefault(queue, set()).add(each)
    return found
