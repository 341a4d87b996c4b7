"""Where a system's tasks lie, seen from outside: hidden and shown at one stroke, watched until all are done."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from benchmarks.systems.system import RedisKeys, SqliteRows
from tests.servers.redis import RedisServer

_HIDDEN = "benchmark:hidden:"
_OWN_COMMANDS = frozenset({"touch", "info", "rename", "memory|usage", "config|resetstat"})
"""Commands of the benchmark itself; no worker uses them, so they are left out of the count."""


class RedisStore:
    """A Redis server, which is emptied first. `url` is what the system's processes are given."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        self.url = url
        self._keys = keys
        self._server = redis.Redis.from_url(url)
        self.empty()

    def empty(self) -> None:
        """Remove everything."""
        self._server.flushall()

    def hide(self) -> None:
        """Put what is queued out of the worker's sight, so that a worker can start and rest before it begins."""
        for key in self._keys.queues:
            self._server.rename(key, _HIDDEN + key)

    def show(self) -> None:
        """Give what was hidden to the worker at one stroke."""
        for key in self._keys.queues:
            self._server.rename(_HIDDEN + key, key)

    def is_done(self) -> bool:
        """Tell whether nothing is queued or held."""
        return not self._server.touch(*self._keys.unfinished)

    def cpu_seconds(self) -> float:
        """Return what the server has used so far."""
        info = self._server.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])

    def queued_bytes(self) -> int:
        """Return the memory of the queues' keys."""
        return sum(self._server.memory_usage(key, samples=0) or 0 for key in self._keys.queues)

    def forget_commands(self) -> None:
        """Count the server's commands anew."""
        self._server.config_resetstat()

    def commands(self) -> int:
        """Return how many commands ran since, those inside scripts included, the benchmark's own left out."""
        stats = self._server.info("commandstats")
        counts = {name.removeprefix("cmdstat_").lower(): entry["calls"] for name, entry in stats.items()}
        return sum(count for name, count in counts.items() if name not in _OWN_COMMANDS)


class SqliteStore:
    """A file that does not exist yet: the system makes its tables. The methods are those of `RedisStore`."""

    def __init__(self, folder: Path, rows: SqliteRows) -> None:
        self._path = folder / "tasks.db"
        self.url = f"sqlite:///{self._path}"
        self._rows = rows

    def hide(self) -> None:
        self._execute(self._rows.hide)

    def show(self) -> None:
        self._execute(self._rows.show)

    def is_done(self) -> bool:
        return not self._execute(self._rows.unfinished)

    def cpu_seconds(self) -> float:
        return 0.0

    def _execute(self, statement: str) -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()


@contextlib.contextmanager
def opened(where: RedisKeys | SqliteRows, server: RedisServer) -> Iterator[RedisStore | SqliteStore]:
    """Return an empty store for a system that keeps its tasks there."""
    if isinstance(where, RedisKeys):
        yield RedisStore(server.url, where)
        return
    with tempfile.TemporaryDirectory(prefix="celeriac-benchmark-") as folder:
        yield SqliteStore(Path(folder), where)
