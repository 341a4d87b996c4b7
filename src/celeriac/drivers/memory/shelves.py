"""Queues in the process's memory: heaps by priority and by due moment, and what is held by whom."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from celeriac.exceptions import DecodeError
from celeriac.interfaces.broker import Outgoing, QueueStats
from celeriac.wire.envelope import decode
from celeriac.wire.message import Message, Unreadable

MOST_URGENT: Final = 9


@dataclass(slots=True, eq=False)
class Entry:
    """One message and what happened to it so far. `order` is its place among its equals."""

    order: int
    message: Message | Unreadable
    priority: int | None
    ready_since: float
    redelivered: bool = False

    @property
    def id(self) -> str | None:
        return self.message.headers.get("id") if isinstance(self.message, Message) else None

    @property
    def level(self) -> int:
        return min(max(self.priority or 0, 0), MOST_URGENT)


@dataclass(slots=True, eq=False)
class Held:
    """An entry in somebody's hands, until a moment."""

    entry: Entry
    queue: str
    until: float
    owner: str


@dataclass(slots=True, eq=False)
class Dead:
    """An entry that was rejected at a moment, with the reason."""

    entry: Entry
    died: float
    reason: str


@dataclass(slots=True, eq=False)
class Shelf:
    """One queue: ready entries by level and order, delayed ones by due moment, dead ones by number, oldest first."""

    ready: tuple[list[tuple[int, Entry]], ...] = field(
        default_factory=lambda: tuple([] for _ in range(MOST_URGENT + 1))
    )
    delayed: list[tuple[float, int, Entry]] = field(default_factory=list)
    dead: dict[int, Dead] = field(default_factory=dict)

    def put(self, entry: Entry) -> None:
        """Make an entry ready. One that was taken and comes back keeps its order, so it is first in line."""
        heappush(self.ready[entry.level], (entry.order, entry))

    def delay(self, entry: Entry, due: float) -> None:
        """Keep an entry until it is due."""
        heappush(self.delayed, (due, entry.order, entry))

    def take(self, limit: int) -> list[Entry]:
        """Take up to `limit` entries, the most urgent first, then the oldest."""
        taken: list[Entry] = []
        for level in reversed(self.ready):
            while level and len(taken) < limit:
                taken.append(heappop(level)[1])
        return taken

    def take_due(self, now: float, limit: int) -> list[Entry]:
        """Take up to `limit` delayed entries that are due, in the order they are."""
        taken: list[Entry] = []
        while len(taken) < limit and self.delayed and self.delayed[0][0] <= now:
            due, _, entry = heappop(self.delayed)
            entry.ready_since = due
            taken.append(entry)
        return taken

    def purge(self) -> int:
        removed = sum(map(len, self.ready)) + len(self.delayed)
        for level in self.ready:
            level.clear()
        self.delayed.clear()
        return removed

    def stats(self, leased: int, now: float) -> QueueStats:
        oldest = min((entry.ready_since for level in self.ready for _, entry in level), default=None)
        return QueueStats(
            ready=sum(map(len, self.ready)),
            delayed=len(self.delayed),
            leased=leased,
            dead=len(self.dead),
            oldest_age=None if oldest is None else max(0.0, now - oldest),
        )


class Shelves:
    """All queues of one store. `changed` guards everything here and tells waiting receivers of what became ready.

    Its lock is re-entrant, so that a signal handler may interrupt a receiver that holds it.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.shelves: dict[str, Shelf] = {}
        self.held: dict[str, Held] = {}
        self._numbers = itertools.count(1)

    def shelf(self, queue: str) -> Shelf:
        found = self.shelves.get(queue)
        if found is None:
            found = self.shelves[queue] = Shelf()
        return found

    def hasten(self, ids: Collection[str], now: float) -> None:
        """Let delayed messages of these tasks be due."""
        with self.changed:
            for shelf in self.shelves.values():
                shelf.delayed = [
                    (min(due, now) if entry.id in ids else due, order, entry) for due, order, entry in shelf.delayed
                ]
                heapify(shelf.delayed)

    def number(self) -> int:
        return next(self._numbers)

    def put(self, outgoing: Outgoing, now: float) -> None:
        sent = outgoing.message
        # The sender keeps its dictionary and may change it; everything else in a message is immutable.
        message = Message(
            dict(sent.headers),
            sent.body,
            sent.content_type,
            sent.content_encoding,
            sent.correlation_id,
            sent.reply_to,
        )
        entry = Entry(self.number(), message, outgoing.priority, now)
        shelf = self.shelf(outgoing.route.queue)
        if outgoing.not_before is not None and outgoing.not_before > now:
            shelf.delay(entry, outgoing.not_before)
        else:
            shelf.put(entry)

    def put_raw(self, queue: str, raw: bytes, now: float = 0.0) -> None:
        """Put bytes as a foreign producer would; what is no message is delivered as `Unreadable`."""
        message: Message | Unreadable
        try:
            message = decode(raw).message
        except DecodeError as error:
            message = Unreadable(raw, str(error))
        with self.changed:
            self.shelf(queue).put(Entry(self.number(), message, None, now))
            self.changed.notify_all()
