"""Messages in the process's memory: what is asked of its queues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from celeriac.clock import Clock
from celeriac.drivers.memory.shelves import Dead, Held, Shelf, Shelves
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
from celeriac.interfaces.results import ResultRecord


class MemoryBroker:
    """The broker contract on one `Shelves`. Thread-safe; a message costs about its own size and 200 bytes."""

    capabilities = BrokerCapabilities(most_urgent="highest", shared=False, stores_results=True)

    def __init__(
        self,
        shelves: Shelves,
        *,
        location: str,
        clock: Clock,
        store_results: Callable[[Sequence[ResultRecord]], None],
    ) -> None:
        self._store_results = store_results
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
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        with self._shelves.changed:
            return self.ack(leases, follow_ups=follow_ups, results=results), self._take(queues, terms)

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
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> Sequence[Lease]:
        now = self._clock.now()
        if results:
            self._store_results(results)
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

    def held_by(self, owner: str) -> Sequence[Lease]:
        with self._shelves.changed:
            return [Lease(held.queue, tag) for tag, held in self._shelves.held.items() if held.owner == owner]

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
