"""`sqlite:///`: the namespace is a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from celeriac.drivers import load
from celeriac.drivers.sqlite.bells import directory_of
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case


def make(workspace: Path, clock: FakeClock) -> Case:
    path = workspace / "celeriac.db"
    options = StoreOptions(clock=clock)
    return Case(
        name="sqlite",
        open=lambda: load(f"sqlite:///{path}", options),
        inject_raw=lambda queue, raw: inject_raw(path, queue, raw),
        find_leaks=lambda: [*open_files(path), *bells(path)],
    )


def inject_raw(path: Path, queue: str, raw: bytes) -> None:
    """Write a row as a program that knows the table, but not the form of a message, would."""
    broker = load(f"sqlite:///{path}", StoreOptions()).broker
    assert broker is not None
    broker.connect()  # makes the tables
    broker.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO messages (queue, state, urgency, due, payload) VALUES (?, 0, 0, 0, ?)", (queue, raw)
        )


def open_files(path: Path) -> list[str]:
    """Return the connections that are still open, by the files that they hold (Linux)."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    targets = []
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            targets.append(str(entry.readlink()))
    return [f"open file {target}" for target in targets if target.startswith(str(path))]


def bells(path: Path) -> list[str]:
    """Return the bells that nobody took down."""
    directory = Path(directory_of(str(path)))
    return [f"bell {entry}" for entry in directory.iterdir()] if directory.exists() else []
