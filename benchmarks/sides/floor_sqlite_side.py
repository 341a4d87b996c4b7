"""The floor on SQLite: what any Python program pays that keeps tasks in a file in WAL mode and loses none to a crash.

A message is the floor's on Redis. A worker takes up to 100 in a transaction that marks them as held; the next one
stores their results, removes them and takes again. An idle worker looks every two milliseconds.

    python floor_sqlite_side.py PROCESSES      starts workers
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from floor_side import BATCH, TASKS, decode, decode_body, decode_value, encode, message, start

TABLES = """
CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, envelope BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ready ON tasks (id) WHERE state = 0;
CREATE TABLE IF NOT EXISTS results (task TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
SEND = "INSERT INTO tasks (state, envelope) VALUES (0, ?)"
TAKE = """
UPDATE tasks SET state = 1 WHERE id IN (SELECT id FROM tasks WHERE state = 0 ORDER BY id LIMIT ?)
RETURNING id, envelope
"""
_IDLE = 0.002

_connections: dict[int, sqlite3.Connection] = {}


def connection() -> sqlite3.Connection:
    """Return this process's own: a connection must not cross a fork."""
    known = _connections.get(os.getpid())
    if known is None:
        path = os.environ["BENCHMARK_URL"].removeprefix("sqlite:///")
        known = _connections[os.getpid()] = sqlite3.connect(path, timeout=30, isolation_level=None)
        known.execute("PRAGMA journal_mode = WAL")
        known.execute("PRAGMA synchronous = NORMAL")
        known.executescript(TABLES)
    return known


# -- the client -----------------------------------------------------------------------------------------------------


def sender(task: str) -> Callable[[Any], None]:
    execute = connection().execute

    def send(value: Any) -> None:
        execute(SEND, (message(task, value, ignore_result=task != "echo")[1],))

    return send


def send_many(task: str, values: Iterable[Any]) -> None:
    _insert([message(task, value, ignore_result=task != "echo")[1] for value in values])


def call(number: int) -> str:
    task_id, envelope = message("echo", number)
    connection().execute(SEND, (envelope,))
    return task_id


def read(handle: str) -> Any:
    while True:
        row = connection().execute("SELECT value FROM results WHERE task = ?", (handle,)).fetchone()
        if row:
            return decode_value(row[0])
        time.sleep(_IDLE)


def versions() -> dict[str, str]:
    return {"sqlite": sqlite3.sqlite_version, "msgspec": msgspec.__version__}


def _insert(envelopes: list[bytes]) -> None:
    execute = connection().execute
    for start_at in range(0, len(envelopes), BATCH):
        execute("BEGIN IMMEDIATE")
        connection().executemany(SEND, ((envelope,) for envelope in envelopes[start_at : start_at + BATCH]))
        execute("COMMIT")


# -- the worker -----------------------------------------------------------------------------------------------------


def serve(place: str) -> None:
    own = connection()
    held: list[tuple[int]] = []
    results: list[tuple[str, bytes]] = []
    while True:
        own.execute("BEGIN IMMEDIATE")
        if results:
            own.executemany("INSERT OR REPLACE INTO results VALUES (?, ?)", results)
        if held:
            own.executemany("DELETE FROM tasks WHERE id = ?", held)
        taken = own.execute(TAKE, (BATCH,)).fetchall()
        own.execute("COMMIT")
        held, results = [], []
        for row, envelope in taken:
            held.append((row,))
            run(envelope, results)
        if not taken:
            time.sleep(_IDLE)


def run(envelope: bytes, results: list[tuple[str, bytes]]) -> None:
    read_envelope = decode(envelope)
    headers = read_envelope.headers
    args, kwargs, _ = decode_body(read_envelope.body)
    value = TASKS[headers.task](*args, **kwargs)
    if not headers.ignore_result:
        results.append((headers.id, encode(value)))


if __name__ == "__main__":
    start(int(sys.argv[1]), serve)
