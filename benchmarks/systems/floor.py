"""The floor: the smallest Python loop that keeps the promise of at least once (see `sides/floor_side.py`)."""

from __future__ import annotations

import sys

from benchmarks.systems.system import SIDES, System

SYSTEM = System(
    name="floor",
    title="floor",
    python=lambda: sys.executable,
    side="floor_side",
    worker=(str(SIDES / "floor_side.py"), "2"),
    queues=("floor:queue",),
    unfinished=("floor:queue", "floor:held", "floor:held:1", "floor:held:2"),
    pace=50.0,
)
