"""Dramatiq on its Redis or RabbitMQ broker, in an environment of its own (see `sides/dramatiq_side.py`)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.systems.system import RabbitQueues, RedisKeys, Shape, System, python_of

_THREADS = 8
"""In each engine; of 1, 2, 4 and 8 that was the fastest."""

_PROCESSES = 4
"""To share 100 threads among; of 1, 2, 4 and 8 that was the fastest."""


def _worker(shape: Shape) -> tuple[str, ...]:
    processes, threads = {
        "engines": (shape.slots, _THREADS),
        "slots": (shape.slots, 1),
        "threads": (_PROCESSES, shape.slots // _PROCESSES),
        "coroutines": (_PROCESSES, shape.slots // _PROCESSES),  # each coroutine holds a thread
    }[shape.kind]
    return ("-m", "dramatiq", "dramatiq_side", "-p", str(processes), "-t", str(threads))


_ON_REDIS = System(
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
    tuned={
        "many": {"dramatiq_queue_prefetch": "1000"},  # of 16, 100, 1,000 and 5,000
        "quick": {"dramatiq_worker_timeout": "5"},  # it polls; at 1,000, its default, the p99 is 200 ms and more
        "mixed": {"dramatiq_queue_prefetch": "1"},
        "confirmed": {"BENCHMARK_CONFIRMED": "1"},
    },
)
SYSTEM = replace(_ON_REDIS, elsewhere=(replace(_ON_REDIS, tasks_in=RabbitQueues(("default",)), pace=5.0),))
