"""`memory://`: the namespace is a name."""

from __future__ import annotations

import uuid
from pathlib import Path

from celeriac.drivers import load
from celeriac.drivers.memory import store as memory
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case


def make(_workspace: Path, clock: FakeClock) -> Case:
    name = uuid.uuid4().hex
    shared = memory.share(name)
    options = StoreOptions(clock=clock)
    return Case(
        name="memory",
        open=lambda: load(f"memory://{name}", options),
        inject_raw=shared.shelves.put_raw,
        find_leaks=lambda: find_leaks(name, shared),
    )


def find_leaks(name: str, shared: memory.Shared) -> list[str]:
    """Return what clients left behind that are closed, and forget the store."""
    memory.reset(name)
    leaks = [f"subscription {subscription}" for subscription in shared.ears.subscriptions]
    return leaks + [f"who listens for result {task_id}" for task_id in shared.records.listening]
