"""Stock Celery, in an environment of its own, with the settings that make it fastest (see `sides/celery_side.py`)."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.systems.system import RabbitQueues, RedisKeys, Shape, System, python_of

_POOLS = {"engines": "prefork", "slots": "prefork", "threads": "threads"}


def _worker(shape: Shape) -> tuple[str, ...] | None:
    if shape.kind not in _POOLS:
        return None
    pool = ("-P", _POOLS[shape.kind], "-c", str(shape.slots))
    quiet = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    return ("-m", "celery", "-A", "celery_side", "worker", *pool, *quiet)


_ON_REDIS = System(
    name="celery",
    title="Celery",
    python=python_of(".venv-interop", "CELERIAC_STOCK_PYTHON", "stock Celery"),
    side="celery_side",
    worker=_worker,
    tasks_in=RedisKeys(queues=("celery",), unfinished=("celery", "unacked")),
    imports="import celery; celery.Celery",
    tuned={"mixed": {"BENCHMARK_CELERY_PREFETCH": "1"}, "confirmed": {"BENCHMARK_CONFIRMED": "1"}},
)
SYSTEM = replace(_ON_REDIS, elsewhere=(replace(_ON_REDIS, tasks_in=RabbitQueues(("celery",))),))
