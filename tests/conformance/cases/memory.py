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
    options = StoreOptions(clock=clock)
    return Case(
        name="memory",
        open=lambda: load(f"memory://{name}", options),
        inject_raw=lambda queue, raw: memory.shared(name).put_raw(queue, raw),
        find_leaks=lambda: memory.reset(name),
    )
