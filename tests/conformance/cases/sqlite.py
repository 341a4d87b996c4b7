"""`sqlite:///`: the namespace is a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from celeriac.drivers import load
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case


def make(workspace: Path, clock: FakeClock) -> Case:
    path = workspace / "celeriac.db"
    options = StoreOptions(clock=clock)

    def open_store():  # type: ignore[no-untyped-def]
        return load(f"sqlite:///{path}", options)

    return Case(
        name="sqlite",
        open=open_store,
        inject_raw=lambda queue, raw: inject(path, queue, raw, clock.now()),
        find_leaks=lambda: open_files(path),
    )
