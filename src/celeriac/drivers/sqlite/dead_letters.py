"""Dead letters in a table of their own; each decision about a batch is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import BrokerError, DecodeError
from celeriac.interfaces.dead_letters import DeadLetter
from celeriac.wire.envelope import decode
from celeriac.wire.message import Unreadable

_SQL: Final = queries.load("dead_letters")

_PURGED_AT_ONCE: Final = 1000
"""Letters that one transaction of `purge` removes: others can write in between."""

_EVER: Final = float("inf")
_ABOVE_ALL: Final = 2**63 - 1

Row = tuple[int, str, float, str, int, bytes]


class SQLiteDeadLetters:
    """The dead-letter contract on one `Database`. Thread-safe."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def queues(self) -> Sequence[str]:
        with self._database.read(BrokerError) as connection:
            return [queue for (queue,) in connection.execute(_SQL["queues"])]

    def page(self, queue: str, *, limit: int, after: str | None = None) -> Sequence[DeadLetter]:
        below = _ABOVE_ALL if after is None else after
        with self._database.read(BrokerError) as connection:
            rows = connection.execute(_SQL["page"], (queue, below, limit)).fetchall()
        return [_letter(row) for row in rows]

    def fetch(self, ids: Sequence[str]) -> Mapping[str, DeadLetter]:
        rows: dict[str, Row | None] = {}
        with self._database.read(BrokerError) as connection:
            for each in ids:
                rows[each] = connection.execute(_SQL["fetch"], (each,)).fetchone()
        return {each: _letter(row) for each, row in rows.items() if row is not None}

    def requeue(self, ids: Sequence[str]) -> Sequence[str]:
        now = self._clock.now()
        missing = []
        with self._database.write(BrokerError) as connection:
            for each in dict.fromkeys(ids):
                # An id that is no number compares unequal to every row, so it is reported as missing.
                if connection.execute(_SQL["revive"], (now, each)).rowcount:
                    connection.execute(_SQL["remove"], (each,))
                else:
                    missing.append(each)
        self._database.ring()
        return missing

    def remove(self, ids: Sequence[str]) -> Sequence[str]:
        with self._database.write(BrokerError) as connection:
            return [each for each in dict.fromkeys(ids) if not connection.execute(_SQL["remove"], (each,)).rowcount]

    def purge(self, queue: str, *, before: float | None = None) -> int:
        removed = 0
        while True:
            with self._database.write(BrokerError) as connection:
                values = (queue, _EVER if before is None else before, _PURGED_AT_ONCE)
                count = connection.execute(_SQL["purge"], values).rowcount
            removed += count
            if count < _PURGED_AT_ONCE:
                return removed


def _letter(row: Row) -> DeadLetter:
    number, queue, died, reason, redelivered, payload = row
    try:
        envelope = decode(payload)
    except DecodeError as error:
        return DeadLetter(str(number), queue, died, reason, Unreadable(payload, str(error)), bool(redelivered))
    return DeadLetter(str(number), queue, died, reason, envelope.message, bool(redelivered) or envelope.redelivered)
