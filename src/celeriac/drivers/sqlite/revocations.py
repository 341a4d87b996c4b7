"""Revocations as rows, whose newest number each claim reads along."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import CoordinatorError
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds

_SOONER: Final[Seconds] = 60.0
"""What is known ends so much later than it would have, or keeps its end."""

_SQL: Final = queries.load("revocations")


_ID: Final = re.compile(rb'"headers":.*?"id":\s*"([^"]*)"', re.DOTALL)


class SQLiteRevocations:
    """The contract of revocations on one `Database`. Thread-safe."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._heard = 0

    @property
    def heard(self) -> int:
        return self._heard

    def hear(self, connection: sqlite3.Connection) -> None:
        """Read the newest number in the transaction of a claim."""
        (newest,) = connection.execute(_SQL["newest"]).fetchone()
        if newest is not None and newest > self._heard:
            self._heard = newest

    def add(self, revocations: Sequence[Revocation]) -> None:
        now = self._clock.now()
        rows = [(one.task_id, one.header, one.stamp, one.signal, now + one.ttl) for one in revocations]
        if not rows:
            return
        with self._database.write(CoordinatorError) as connection:
            connection.execute(_SQL["forget"], (now,))
            connection.executemany(_SQL["forget_sooner"], [(*row, _SOONER) for row in rows])
            unknown = connection.executemany(_SQL["add"], rows).rowcount
        if unknown:
            self._hasten({row[0] for row in rows} - {""}, now)
        self._database.ring()

    def _hasten(self, ids: Collection[str], now: float) -> None:
        """Let what is delayed of these tasks be due: the next upkeep makes it ready.

        The id is looked for by pattern: a message that is hastened by mistake goes back, for it says when it is due.
        """
        with self._database.read(CoordinatorError) as connection:
            found = [(now, row) for row, payload in connection.execute(_SQL["delayed"]) if _id_in(payload) in ids]
        if found:
            with self._database.write(CoordinatorError) as connection:
                connection.executemany(_SQL["hasten"], found)

    def since(self, number: int) -> tuple[int, Sequence[Revocation]]:
        now = self._clock.now()
        with self._database.read(CoordinatorError) as connection:
            (newest,) = connection.execute(_SQL["newest"]).fetchone()
            rows = connection.execute(_SQL["since"], (now, number)).fetchall()
        return newest or 0, [Revocation(*row) for row in rows]


def _id_in(payload: bytes) -> str | None:
    found = _ID.search(payload)
    return None if found is None else found.group(1).decode(errors="replace")
