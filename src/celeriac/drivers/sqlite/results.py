"""Results as rows with an end; who waits is woken by a commit and looks whether it was one of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES, SUCCESS

_SQL: Final = queries.load("results")
_to_json: Final = msgspec.json.Encoder().encode


class SQLiteResults:
    """The result contract on one `Database`. Thread-safe."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._closings = 0

    @property
    def location(self) -> str:
        return self._database.location

    def connect(self) -> None:
        with self._database.write(BackendError):
            """An empty transaction fails where the file cannot be written."""

    def close(self) -> None:
        self._closings += 1
        self._database.close()

    def store(self, records: Sequence[ResultRecord]) -> None:
        if not records:
            return
        now = self._clock.now()
        rows = [
            (
                record.task_id,
                _finality(record.state),
                None if record.ttl is None else now + record.ttl,
                record.payload,
                now,
            )
            for record in records
        ]
        with self._database.write(BackendError) as connection:
            connection.executemany(_SQL["store"], rows)
        self._database.ring()

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._select("fetch", ids)

    def wait(self, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
        end = time.monotonic() + timeout
        closings = self._closings
        while True:
            seen = self._database.watch.generation
            ready = self._select("fetch_ready", ids)
            remaining = end - time.monotonic()
            if ready or not ids or remaining <= 0:
                return ready
            self._database.watch.wait(seen, remaining)
            if closings != self._closings:
                raise BackendError(f"{self.location} was closed while a result was waited for.")

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


def _finality(state: str) -> int:
    """Rank a state as the statement `store` compares them."""
    return 0 if state not in READY_STATES else 2 if state == SUCCESS else 1


def _list(ids: Sequence[str]) -> str:
    return _to_json(list(ids)).decode()
