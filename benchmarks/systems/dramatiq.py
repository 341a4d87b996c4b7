"""Dramatiq on its Redis broker, in an environment of its own (see `sides/dramatiq_side.py`)."""

from __future__ import annotations

import os

from benchmarks.systems.system import RedisKeys, Shape, System, python_of

_THREADS = os.environ.get("BENCHMARK_DRAMATIQ_THREADS", "1")
_PROCESSES = int(os.environ.get("BENCHMARK_DRAMATIQ_PROCESSES", "2"))


def _worker(shape: Shape) -> tuple[str, ...]:
    if shape.kind == "engines":
        slots = ("-p", str(shape.slots), "-t", _THREADS)
    else:
        slots = ("-p", str(_PROCESSES), "-t", str(shape.slots // _PROCESSES))
    return ("-m", "dramatiq", "dramatiq_side", *slots)


SYSTEM = System(
    name="dramatiq",
    title="Dramatiq",
    python=python_of(".venv-bench-dramatiq", "BENCHMARK_DRAMATIQ_PYTHON", "Dramatiq"),
    side="dramatiq_side",
    worker=_worker,
    tasks_in=RedisKeys(
        queues=("dramatiq:default.msgs", "dramatiq:default"),
        unfinished=("dramatiq:default.msgs", "dramatiq:default"),
    ),
    imports="import dramatiq; from dramatiq.brokers.redis import RedisBroker",
    pace=6.0,
)
