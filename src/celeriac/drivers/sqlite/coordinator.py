"""Locks, buckets and counters as rows that end."""

from __future__ import annotations

import itertools
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import CoordinatorError

PRUNE_EVERY: Final = 1000
"""Changes after which this process removes what has ended, where no broker's upkeep does."""

_SQL: Final = queries.load("coordinator")


class SQLiteCoordinator:
    """The coordinator contract on one `Database`. Thread-safe."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._changes = itertools.count(1)

    def acquire(self, name: str, *, owner: str, ttl: float) -> bool:
        now = self._clock.now()
        with self._database.write(CoordinatorError) as connection:
            acquired = connection.execute(_SQL["acquire"], (name, owner, now + ttl, now)).fetchall()
        self._prune_now_and_then(now)
        return bool(acquired)

    def release(self, name: str, *, owner: str) -> bool:
        with self._database.write(CoordinatorError) as connection:
            return connection.execute(_SQL["release"], (name, owner, self._clock.now())).rowcount == 1

    def holder(self, name: str) -> str | None:
        with self._database.read(CoordinatorError) as connection:
            row = connection.execute(_SQL["holder"], (name, self._clock.now())).fetchone()
        return None if row is None else str(row[0])

    def take(self, bucket: str, *, tokens: float, rate: float, burst: float) -> float:
        now = self._clock.now()
        with self._database.write(CoordinatorError) as connection:
            row = connection.execute(_SQL["level"], (bucket,)).fetchone()
            level = burst if row is None else min(burst, row[0] + max(0.0, now - row[1]) * rate)
            if level < tokens:
                return float((tokens - level) / rate)
            left = level - tokens
            connection.execute(_SQL["set_level"], (bucket, left, now, now + (burst - left) / rate))
        self._prune_now_and_then(now)
        return 0.0

    def increment(self, name: str, *, by: int = 1, ttl: float) -> int:
        now = self._clock.now()
        with self._database.write(CoordinatorError) as connection:
            ((value,),) = connection.execute(_SQL["increment"], (name, by, now + ttl, now)).fetchall()
        self._prune_now_and_then(now)
        return int(value)

    def close(self) -> None:
        self._database.close()

    def _prune_now_and_then(self, now: float) -> None:
        if next(self._changes) % PRUNE_EVERY:
            return
        with self._database.write(CoordinatorError) as connection:
            for table in ("locks", "buckets", "counters"):
                connection.execute(_SQL[f"prune_{table}"], (now,))
