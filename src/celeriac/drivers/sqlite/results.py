"""Results as rows with an end; who waits is woken by a commit and looks whether it was one of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.drivers.sqlite.watch import Watch
from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES, SUCCESS

_SQL: Final = queries.load("results")
_to_json: Final = msgspec.json.Encoder().encode


ResultRow = tuple[str, int, float | None, bytes, float]
"""What `store` writes: task id, finality, end, payload, now."""


class SQLiteResults:
    """The result contract on one `Database`. Thread-safe."""

    mailbox: Final = None

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.closings = 0
        """How often it was closed."""

    @property
    def location(self) -> str:
        return self._database.location

    def connect(self) -> None:
        with self._database.write(BackendError):
            """An empty transaction fails where the file cannot be written."""

    def close(self) -> None:
        self.closings += 1
        self._database.close()

    def store(self, records: Sequence[ResultRecord]) -> None:
        if not records:
            return
        rows = rows_of(records, self._clock.now())
        with self._database.write(BackendError) as connection:
            store_rows(connection, rows)
        self._database.ring()

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._select("fetch", ids)

    def listen(self, ids: Sequence[str] = ()) -> SQLiteListener:
        return SQLiteListener(self, self._database.watch, ids)

    def ends(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the payloads of those that have ended, by id."""
        return self._select("fetch_ready", ids) if ids else {}

    def forget(self, ids: Sequence[str]) -> None:
        with self._database.write(BackendError) as connection:
            connection.execute(_SQL["forget"], (_list(ids),))

    def sweep(self, *, limit: int) -> int:
        now = self._clock.now()
        with self._database.read(BackendError) as connection:
            if connection.execute(_SQL["has_ended"], (now,)).fetchone() is None:
                return 0
        with self._database.write(BackendError) as connection:
            return connection.execute(_SQL["sweep"], (now, limit)).rowcount

    def _select(self, statement: str, ids: Sequence[str]) -> dict[str, bytes]:
        with self._database.read(BackendError) as connection:
            return dict(connection.execute(_SQL[statement], (_list(ids), self._clock.now())).fetchall())


class SQLiteListener:
    """One who waits. Implements `ResultListener`; `changing` guards the ids."""

    def __init__(self, results: SQLiteResults, watch: Watch, ids: Sequence[str]) -> None:
        self._results = results
        self._watch = watch
        self._closings = results.closings
        self._changing = threading.Lock()
        self._ids = set(ids)
        self._new = set(ids)
        self._seen = watch.generation

    def add(self, ids: Collection[str]) -> None:
        with self._changing:
            self._ids.update(ids)
            self._new.update(ids)
        self._watch.nudge()

    def discard(self, ids: Collection[str]) -> None:
        with self._changing:
            self._ids.difference_update(ids)
            self._new.difference_update(ids)

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        end = time.monotonic() + timeout
        while True:
            seen = self._watch.generation
            if self._closings != self._results.closings:
                raise BackendError(f"{self._results.location} was closed while a result was waited for.")
            ready = self._results.ends(self._unseen(seen))
            remaining = end - time.monotonic()
            if ready or remaining <= 0:
                return ready
            self._watch.wait(seen, remaining, unless=lambda: bool(self._new))

    def close(self) -> None:
        """There is nothing to end."""

    def _unseen(self, generation: int) -> list[str]:
        """Return the ids that may have ended since the last look: all of them after a change, else the new ones."""
        with self._changing:
            ids = list(self._new if generation == self._seen else self._ids)
            self._new.clear()
            self._seen = generation
            return ids


def rows_of(records: Sequence[ResultRecord], now: float) -> list[ResultRow]:
    """Return what `store_rows` writes."""
    return [
        (record.task_id, _finality(record.state), None if record.ttl is None else now + record.ttl, record.payload, now)
        for record in records
    ]


def store_rows(connection: sqlite3.Connection, rows: Sequence[ResultRow]) -> None:
    """Write results, as a part of the caller's transaction."""
    connection.executemany(_SQL["store"], rows)


def _finality(state: str) -> int:
    """Rank a state as the statement `store` compares them."""
    return 0 if state not in READY_STATES else 2 if state == SUCCESS else 1


def _list(ids: Sequence[str]) -> str:
    return _to_json(list(ids)).decode()
