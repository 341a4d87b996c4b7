"""Messages in a table; claims and settlements are batches in one transaction each."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.drivers.sqlite.results import ResultRow, rows_of, store_rows
from celeriac.drivers.sqlite.revocations import SQLiteRevocations
from celeriac.drivers.sqlite.tidy import Tidying
from celeriac.exceptions import BrokerError, DecodeError
from celeriac.interfaces.broker import (
    FAIR_SHARE,
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
from celeriac.wire.envelope import decode, encode
from celeriac.wire.message import Unreadable

READY: Final = 0
DELAYED: Final = 1
MOST_URGENT: Final = 9

_SQL: Final = queries.load("broker")

Row = tuple[str, int, int, float, bytes]
"""What `send` writes: queue, state, urgency, due, payload."""
Claimed = tuple[str, list[tuple[int, int, int, int, bytes]]]
"""What `claim` returns of a queue: urgency, id, deliveries, redelivered, payload."""


class SQLiteBroker:
    """The broker contract on one `Database`. Thread-safe."""

    capabilities = BrokerCapabilities(most_urgent="highest", max_message_bytes=900_000_000, stores_results=True)

    def __init__(self, database: Database, *, clock: Clock, revocations: SQLiteRevocations) -> None:
        self._database = database
        self._clock = clock
        self._revocations = revocations
        self._tidying = Tidying(database)
        self._known: set[str] = set()
        self._interrupted = False

    @property
    def location(self) -> str:
        return self._database.location

    def connect(self) -> None:
        with self._database.write(BrokerError):
            """An empty transaction fails where the file cannot be written."""

    def close(self) -> None:
        self._database.close()

    def check_queue(self, name: str) -> None:
        """Return: every name will do."""

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        names = {spec.name for spec in queues}
        if names <= self._known:
            return
        with self._database.write(BrokerError) as connection:
            self._make_known(connection, names)
        self._known |= names

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:  # noqa: ARG002  no answer is lost here
        if not outgoing:
            return
        rows = self._rows(outgoing)
        if len(rows) == 1 and rows[0][0] in self._known:
            self._database.write_one(_SQL["send"], rows[0], BrokerError)
        else:
            with self._database.write(BrokerError) as connection:
                self._insert(connection, rows)
            self._known.update(row[0] for row in rows)
        self._database.ring()

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        end = time.monotonic() + wait
        seen = self._database.watch.generation
        deliveries = self._claim(queues, terms)
        while not deliveries:
            remaining = end - time.monotonic()
            if self._interrupted or remaining <= 0:
                self._interrupted = False
                return []
            self._database.watch.wait(seen, remaining)
            seen = self._database.watch.generation
            # Each commit of anybody wakes all who wait, so they look before they ask for the write lock.
            if self._is_anything_ready(queues):
                deliveries = self._claim(queues, terms)
        return deliveries

    def ack_and_receive(
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        rows, stored = self._following(follow_ups), rows_of(results, self._clock.now())
        with self._database.write(BrokerError) as connection:
            lost = self._settle(connection, leases, rows, stored)
            claimed = self._claimed(connection, queues, terms)
        if rows or stored:
            self._database.ring()
        return lost, _deliveries(claimed)

    def interrupt(self) -> None:
        self._interrupted = True
        self._database.watch.ring()

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:  # noqa: ARG002  the contract's
        """Do nothing: every producer wakes receivers here."""
        return False

    def rely_on_watch(self) -> None:
        """Do nothing: there is nothing to watch for."""

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        until = self._clock.now() + lease
        with self._database.write(BrokerError) as connection:
            return _lost(connection, leases, _SQL["extend"], (until,))

    def ack(
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> Sequence[Lease]:
        rows, stored = self._following(follow_ups), rows_of(results, self._clock.now())
        with self._database.write(BrokerError) as connection:
            lost = self._settle(connection, leases, rows, stored)
        if rows or stored:
            self._database.ring()
        return lost

    def requeue(self, leases: Sequence[Lease], *, delay: float = 0.0, redelivered: bool = False) -> Sequence[Lease]:
        values = (DELAYED if delay > 0 else READY, self._clock.now() + max(0.0, delay), int(redelivered))
        with self._database.write(BrokerError) as connection:
            lost = _lost(connection, leases, _SQL["requeue"], values)
        self._database.ring()
        return lost

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        values = (self._clock.now(), reason)
        with self._database.write(BrokerError) as connection:
            _lost(connection, leases, _SQL["bury"], values)
            return _lost(connection, leases, _SQL["ack"], ())

    def take_custody(self) -> str:
        """Return nothing: leases can be settled by anybody."""
        return ""

    def entrust(self, custodian: str) -> None:
        """Do nothing: see `take_custody`."""

    def held_by(self, owner: str) -> Sequence[Lease]:
        with self._database.read(BrokerError) as connection:
            rows = connection.execute(_SQL["held_by"], (owner,)).fetchall()
        return [_lease(*row) for row in rows]

    def brace(self, lease: Lease) -> bool:  # noqa: ARG002  the contract's
        """Return True: who died is told here, and the core counts."""
        return True

    def upkeep(self, *, limit: int) -> Upkeep:
        now = self._clock.now()
        self._tidying.when_due(now, limit)
        next_due = self._next_due()
        if next_due is None or next_due > now:
            return Upkeep(next_due=next_due)
        with self._database.write(BrokerError) as connection:
            promoted = connection.execute(_SQL["promote"], (now, limit)).rowcount
            if promoted:
                connection.execute(_SQL["remove_promoted"], (now, limit))
            reclaimed = connection.execute(_SQL["reclaim"], (now, now, limit)).rowcount
        self._database.ring()
        return Upkeep(promoted=promoted, reclaimed=reclaimed, next_due=self._next_due())

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        now = self._clock.now()
        with self._database.snapshot(BrokerError) as connection:  # else a message that is just taken is seen nowhere
            timed = {queue: counts for queue, *counts in connection.execute(_SQL["count_timed"])}
            return {queue: _stats(connection, queue, timed.get(queue, (0, 0)), now) for queue in queues}

    def queues(self) -> Sequence[str]:
        with self._database.read(BrokerError) as connection:
            return [name for (name,) in connection.execute(_SQL["queues"])]

    def purge(self, queue: str) -> int:
        with self._database.write(BrokerError) as connection:
            removed = connection.execute(_SQL["purge_ready"], (queue,)).rowcount
            return removed + connection.execute(_SQL["purge_delayed"], (queue,)).rowcount

    def _following(self, follow_ups: Mapping[str, Sequence[Outgoing]] | None) -> dict[str, list[Row]]:
        return {tag: self._rows(outgoing) for tag, outgoing in (follow_ups or {}).items()}

    def _settle(
        self,
        connection: sqlite3.Connection,
        leases: Sequence[Lease],
        rows: Mapping[str, Sequence[Row]],
        results: Sequence[ResultRow],
    ) -> list[Lease]:
        """Store, remove, and send what follows from what was held still. Return what was not."""
        if results:
            store_rows(connection, results)
        lost = _lost(connection, leases, _SQL["ack"], ())
        lost_tags = {lease.tag for lease in lost}
        for lease in leases if rows else ():
            if lease.tag not in lost_tags and lease.tag in rows:
                self._insert(connection, rows[lease.tag])
        return lost

    def _rows(self, outgoing: Sequence[Outgoing]) -> list[Row]:
        now = self._clock.now()
        return [_row(item, now) for item in outgoing]

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        names = {row[0] for row in rows}
        if not names <= self._known:
            self._make_known(connection, names)
        connection.executemany(_SQL["send"], rows)

    def _make_known(self, connection: sqlite3.Connection, names: set[str]) -> None:
        connection.executemany(_SQL["declare"], [(name,) for name in names])

    def _is_anything_ready(self, queues: Sequence[str]) -> bool:
        with self._database.read(BrokerError) as connection:
            return any(connection.execute(_SQL["is_anything_ready"], (queue,)).fetchone() for queue in queues)

    def _claim(self, queues: Sequence[str], terms: Terms) -> list[Delivery]:
        with self._database.write(BrokerError) as connection:
            claimed = self._claimed(connection, queues, terms)
        return _deliveries(claimed)

    def _claimed(self, connection: sqlite3.Connection, queues: Sequence[str], terms: Terms) -> list[Claimed]:
        claimed = _claimed(connection, queues, terms, self._clock.now())
        if any(rows for _, rows in claimed):
            self._revocations.hear(connection)
        return claimed

    def _next_due(self) -> float | None:
        with self._database.read(BrokerError) as connection:
            (due,) = connection.execute(_SQL["next_due"]).fetchone()
        return None if due is None else float(due)


def _row(item: Outgoing, now: float) -> Row:
    route, priority, due = item.route, item.priority, item.not_before
    payload = encode(
        item.message, exchange=route.exchange, routing_key=route.routing_key, priority=priority, delivery_tag=""
    )
    urgency = -min(max(priority, 0), MOST_URGENT) if priority else 0
    if due is None or due <= now:
        return route.queue, READY, urgency, now, payload
    return route.queue, DELAYED, urgency, due, payload


def _claimed(connection: sqlite3.Connection, queues: Sequence[str], terms: Terms, now: float) -> list[Claimed]:
    claimed: list[Claimed] = []
    limit = terms.limit
    if limit > terms.freely:
        limit = terms.share_of(_ready(connection, queues, most=limit * FAIR_SHARE))
    for queue in queues:
        rows = connection.execute(_SQL["claim"], (now + terms.lease, terms.owner, queue, limit)).fetchall()
        claimed.append((queue, rows))
        limit -= len(rows)
        if limit <= 0:
            break
    return claimed


def _ready(connection: sqlite3.Connection, queues: Sequence[str], *, most: int) -> int:
    """Return how many messages are ready in all, and do not count on beyond `most`."""
    ready = 0
    for queue in queues:
        ready += connection.execute(_SQL["count_some_ready"], (queue, most - ready)).fetchone()[0]
    return ready


def _deliveries(claimed: Sequence[Claimed]) -> list[Delivery]:
    return [_delivery(queue, *row[1:]) for queue, rows in claimed for row in sorted(rows)]


def _lease(queue: str, row_id: int, deliveries: int) -> Lease:
    return Lease(queue, f"{row_id}-{deliveries}")


def _delivery(queue: str, row_id: int, deliveries: int, redelivered: int, payload: bytes) -> Delivery:
    lease = _lease(queue, row_id, deliveries)
    try:
        envelope = decode(payload)
    except DecodeError as error:
        return Delivery(lease, Unreadable(payload, str(error)), None, bool(redelivered))
    return Delivery(lease, envelope.message, envelope.priority, bool(redelivered) or envelope.redelivered)


def _lost(
    connection: sqlite3.Connection, leases: Sequence[Lease], statement: str, values: tuple[object, ...]
) -> list[Lease]:
    """Run the statement for each lease, by its id and its number of deliveries; return those that were not held."""
    execute = connection.execute
    lost = []
    for lease in leases:
        row_id, _, deliveries = lease.tag.partition("-")
        # A tag that is no number of ours compares unequal to every row, so it is reported as lost.
        if execute(statement, (*values, row_id, deliveries)).rowcount != 1:
            lost.append(lease)
    return lost


def _stats(connection: sqlite3.Connection, queue: str, timed: Sequence[int], now: float) -> QueueStats:
    ready, oldest = connection.execute(_SQL["count_ready"], (queue,)).fetchone()
    (dead,) = connection.execute(_SQL["count_dead"], (queue,)).fetchone()
    since = connection.execute(_SQL["ready_since"], (oldest,)).fetchone() if ready else None
    return QueueStats(
        ready=ready,
        delayed=timed[0],
        leased=timed[1],
        dead=dead,
        oldest_age=None if since is None else max(0.0, now - since[0]),
    )
