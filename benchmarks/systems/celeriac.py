"""celeriac itself, from this checkout, run by the interpreter of the benchmark."""

from __future__ import annotations

import sys

from benchmarks.systems.system import System

SYSTEM = System(
    name="celeriac",
    title="celeriac",
    python=lambda: sys.executable,
    side="celeriac_side",
    worker=("-m", "celeriac", "-A", "celeriac_side", "worker", "-c", "2", "--loglevel", "WARNING"),
    queues=("celery",),
    unfinished=("celery", "unacked"),
    pace=25.0,
)
