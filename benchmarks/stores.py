"""Where a system's tasks lie, seen from outside: hidden and shown at one stroke, watched until all are done."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import redis

from benchmarks import processes
from benchmarks.systems.system import RabbitQueues, RedisKeys, SqliteRows, TasksIn
from tests.servers.rabbitmq import RabbitServer
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


_LISTED = re.compile(r'queue,<<"([^"]*)">>}},{type,(\w+)},{messages,(\d+)}')
_COUNTED = re.compile(r"{ok,{{\d+,\d+},(\d+)}")


class RabbitStore:
    """A virtual host of its own on a RabbitMQ node. Nothing can be hidden there: a worker is stopped meanwhile."""

    def __init__(self, server: RabbitServer, vhost: str, queues: RabbitQueues) -> None:
        self._server = server
        self._vhost = vhost
        self._queues = queues
        self.url = server.new_vhost(vhost)

    def wait_until_queued(self, count: int) -> None:
        """Return when so many are queued or held."""
        deadline = time.monotonic() + 30.0
        while self.unfinished() < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.unfinished()} of {count} tasks are queued")
            time.sleep(0.02)

    def is_done(self) -> bool:
        """Tell whether nothing is queued or held."""
        return not self.unfinished()

    def unfinished(self) -> int:
        """Return how many are queued or held."""
        listed = self._server.call("rabbit_amqqueue", "info_all", f'<<"{self._vhost}">>, [name, type, messages]')
        found = {name: (kind, int(messages)) for name, kind, messages in _LISTED.findall(listed)}
        counts = (found.get(queue, ("", 0)) for queue in self._queues.queues)
        return sum(
            self._in_quorum(queue) if kind == "rabbit_quorum_queue" else messages
            for queue, (kind, messages) in zip(self._queues.queues, counts, strict=True)
        )

    def cpu_seconds(self) -> float:
        """Return what the server has used so far."""
        return processes.cpu_seconds(self._server.pid)

    def remove(self) -> None:
        self._server.drop_vhost(self._vhost)

    def _in_quorum(self, queue: str) -> int:
        """Count in a quorum queue; what is listed of it is up to five seconds old."""
        place = f"{{'{self._vhost}_{queue}','{self._server.name}'}}"
        told = self._server.call("ra", "local_query", f"{place}, fun rabbit_fifo:query_messages_total/1")
        counted = _COUNTED.match(told)
        if counted is None:
            raise RuntimeError(f"RabbitMQ says of queue {queue}: {told}")
        return int(counted[1])


Store = RedisStore | SqliteStore | RabbitStore


class RabbitNode:
    """The RabbitMQ node of a run, started at its first use: that takes seconds. Each use has a virtual host."""

    def __init__(self) -> None:
        self._server: RabbitServer | None = None
        self._numbers = itertools.count()

    def store(self, queues: RabbitQueues) -> RabbitStore:
        return RabbitStore(self.server, f"run{next(self._numbers)}", queues)

    @property
    def server(self) -> RabbitServer:
        if self._server is None:
            self._server = RabbitServer().start()
        return self._server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.remove()


@contextlib.contextmanager
def opened(where: TasksIn, server: RedisServer, node: RabbitNode) -> Iterator[Store]:
    """Return an empty store for a system that keeps its tasks there."""
    if isinstance(where, RedisKeys):
        yield RedisStore(server.url, where)
        return
    if isinstance(where, RabbitQueues):
        store = node.store(where)
        yield store
        store.remove()
        return
    with tempfile.TemporaryDirectory(prefix="celeriac-benchmark-") as folder:
        yield SqliteStore(Path(folder), where)
