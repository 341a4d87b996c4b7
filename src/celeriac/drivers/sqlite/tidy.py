"""Removing what has ended: expired results, old posts, locks, buckets and counters nobody asks for again."""

from __future__ import annotations

from typing import Final

from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import BrokerError

EVERY: Final = 10.0
"""Seconds from one tidying to the next in one process."""

_RESULTS: Final = queries.load("results")
_PUBSUB: Final = queries.load("pubsub")
_COORDINATOR: Final = queries.load("coordinator")
_REVOCATIONS: Final = queries.load("revocations")


class Tidying:
    """What a broker's upkeep does for the other tables of its file. Harmless when several do it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = 0.0

    def when_due(self, now: float, limit: int) -> None:
        """Tidy if the last time was long enough ago; each table is done in a short transaction of its own."""
        if self._next - EVERY <= now < self._next:
            return
        self._next = now + EVERY
        for statement, values in (
            (_RESULTS["sweep"], (now, limit)),
            (_PUBSUB["prune"], (now,)),
            (_COORDINATOR["prune_locks"], (now,)),
            (_COORDINATOR["prune_buckets"], (now,)),
            (_COORDINATOR["prune_counters"], (now,)),
            (_REVOCATIONS["forget"], (now,)),
        ):
            with self._database.write(BrokerError) as connection:
                connection.execute(statement, values)
