"""Messages in the process's memory: heaps by priority and by due moment, leases in a dictionary."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from celeriac.clock import Clock
from celeriac.exceptions import DecodeError
from celeriac.interfaces.broker import (
    BrokerCapabilities,
    Delivery,
    Lease,
    Nonce,
    Outgoing,
    QueueSpec,
    QueueStats,
    Terms,
    Upkeep,
)
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


class MemoryBroker:
    """The broker contract on one `Shelves`. Thread-safe; a message costs about its own size and 200 bytes."""

    capabilities = BrokerCapabilities(most_urgent="highest", shared=False)

    def __init__(self, shelves: Shelves, *, location: str, clock: Clock) -> None:
        self.location = location
        self._shelves = shelves
        self._clock = clock
        self._interrupted = False

    def connect(self) -> None:
        """There is nothing to reach."""

    def close(self) -> None:
        """There is nothing to let go of; the store lives as long as the process."""

    def check_queue(self, name: str) -> None:
        """Return: every name will do."""

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        with self._shelves.changed:
            for spec in queues:
                self._shelves.shelf(spec.name)

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:  # noqa: ARG002  no answer is lost here
        now = self._clock.now()
        with self._shelves.changed:
            for each in outgoing:
                self._shelves.put(each, now)
            self._shelves.changed.notify_all()

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        end = time.monotonic() + wait
        with self._shelves.changed:
            while True:
                if deliveries := self._take(queues, terms):
                    return deliveries
                remaining = end - time.monotonic()
                if self._interrupted or remaining <= 0:
                    self._interrupted = False
                    return []
                self._shelves.changed.wait(remaining)

    def ack_and_receive(
        self, leases: Sequence[Lease], queues: Sequence[str], terms: Terms
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        with self._shelves.changed:
            return self.ack(leases), self._take(queues, terms)

    def interrupt(self) -> None:
        with self._shelves.changed:
            self._interrupted = True
            self._shelves.changed.notify_all()

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:  # noqa: ARG002  the contract's
        """Do nothing: every producer wakes receivers here."""
        return False

    def rely_on_watch(self) -> None:
        """Do nothing: there is nothing to watch for."""

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        until = self._clock.now() + lease
        lost = []
        with self._shelves.changed:
            for each in leases:
                held = self._shelves.held.get(each.tag)
                if held is None:
                    lost.append(each)
                else:
                    held.until = until
        return lost

    def ack(
        self, leases: Sequence[Lease], *, follow_ups: Mapping[str, Sequence[Outgoing]] | None = None
    ) -> Sequence[Lease]:
        now = self._clock.now()
        with self._shelves.changed:
            settled, lost = self._settle(leases)
            for tag, _ in settled if follow_ups else ():
                for outgoing in (follow_ups or {}).get(tag, ()):
                    self._shelves.put(outgoing, now)
            if follow_ups:
                self._shelves.changed.notify_all()
        return lost

    def requeue(self, leases: Sequence[Lease], *, delay: float = 0.0, redelivered: bool = False) -> Sequence[Lease]:
        now = self._clock.now()
        with self._shelves.changed:
            settled, lost = self._settle(leases)
            if redelivered:
                for _, held in settled:
                    held.entry.redelivered = True
            if delay > 0:
                for _, held in settled:
                    self._shelves.shelf(held.queue).delay(held.entry, now + delay)
            else:
                self._put_back([held for _, held in settled])
        return lost

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        now = self._clock.now()
        with self._shelves.changed:
            settled, lost = self._settle(leases)
            for _, held in settled:
                self._shelves.shelf(held.queue).dead[self._shelves.number()] = Dead(held.entry, now, reason)
        return lost

    def take_custody(self) -> str:
        """Return nothing: leases can be settled by anybody."""
        return ""

    def entrust(self, custodian: str) -> None:
        """Do nothing: see `take_custody`."""

    def brace(self, lease: Lease) -> bool:  # noqa: ARG002  the contract's
        """Return True: who died is told here, and the core counts."""
        return True

    def upkeep(self, *, limit: int) -> Upkeep:
        now = self._clock.now()
        with self._shelves.changed:
            promoted = self._promote(now, limit)
            reclaimed = self._reclaim(now, limit)
            return Upkeep(promoted=promoted, reclaimed=reclaimed, next_due=self._next_due())

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        now = self._clock.now()
        with self._shelves.changed:
            leased = dict.fromkeys(queues, 0)
            for held in self._shelves.held.values():
                if held.queue in leased:
                    leased[held.queue] += 1
            shelves = self._shelves.shelves
            return {queue: shelves.get(queue, Shelf()).stats(leased[queue], now) for queue in queues}

    def queues(self) -> Sequence[str]:
        with self._shelves.changed:
            return sorted(self._shelves.shelves)

    def purge(self, queue: str) -> int:
        with self._shelves.changed:
            shelf = self._shelves.shelves.get(queue)
            return shelf.purge() if shelf is not None else 0

    # The methods below are called with `changed` held.

    def _take(self, queues: Sequence[str], terms: Terms) -> list[Delivery]:
        shelves = self._shelves
        deliveries: list[Delivery] = []
        until = self._clock.now() + terms.lease
        limit = terms.limit
        if limit > terms.freely:
            asked = [shelf for queue in queues if (shelf := shelves.shelves.get(queue)) is not None]
            limit = terms.share_of(sum(len(level) for shelf in asked for level in shelf.ready))
        for queue in queues:
            shelf = shelves.shelves.get(queue)
            for entry in shelf.take(limit - len(deliveries)) if shelf is not None else ():
                tag = str(shelves.number())
                shelves.held[tag] = Held(entry, queue, until, terms.owner)
                deliveries.append(Delivery(Lease(queue, tag), entry.message, entry.priority, entry.redelivered))
        return deliveries

    def _settle(self, leases: Sequence[Lease]) -> tuple[list[tuple[str, Held]], list[Lease]]:
        settled: list[tuple[str, Held]] = []
        lost: list[Lease] = []
        for lease in leases:
            held = self._shelves.held.pop(lease.tag, None)
            if held is None:
                lost.append(lease)
            else:
                settled.append((lease.tag, held))
        return settled, lost

    def _put_back(self, helds: Sequence[Held]) -> None:
        now = self._clock.now()
        for held in helds:
            held.entry.ready_since = now
            self._shelves.shelf(held.queue).put(held.entry)
        if helds:
            self._shelves.changed.notify_all()

    def _promote(self, now: float, limit: int) -> int:
        promoted = 0
        for shelf in self._shelves.shelves.values():
            for entry in shelf.take_due(now, limit - promoted):
                entry.order = self._shelves.number()  # the end of the line
                shelf.put(entry)
                promoted += 1
        if promoted:
            self._shelves.changed.notify_all()
        return promoted

    def _reclaim(self, now: float, limit: int) -> int:
        expired = [tag for tag, held in self._shelves.held.items() if held.until <= now][:limit]
        reclaimed = [self._shelves.held.pop(tag) for tag in expired]
        for held in reclaimed:
            held.entry.redelivered = True
        self._put_back(reclaimed)
        return len(reclaimed)

    def _next_due(self) -> float | None:
        moments = [shelf.delayed[0][0] for shelf in self._shelves.shelves.values() if shelf.delayed]
        moments += [held.until for held in self._shelves.held.values()]
        return min(moments, default=None)
