"""The systems that are measured: one module each, which holds its `SYSTEM`. The order is that of the table."""

from __future__ import annotations

from benchmarks.systems import bare, celeriac, celery, dramatiq, floor, huey
from benchmarks.systems.system import System

SYSTEMS: tuple[System, ...] = (
    floor.SYSTEM,
    celeriac.SYSTEM,
    celery.SYSTEM,
    dramatiq.SYSTEM,
    huey.SYSTEM,
    bare.SYSTEM,
)
