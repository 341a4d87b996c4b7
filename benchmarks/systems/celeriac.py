"""celeriac itself, from this checkout, in an environment that holds what it needs and nothing else."""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks.systems.system import ROOT, RabbitQueues, RedisKeys, Shape, SqliteRows, System


def _python() -> str:
    """Return the Python of the environment that scripts/bootstrap.py makes; without it, the benchmark's own."""
    path = ROOT / ".venv-bench-celeriac" / "bin" / "python"
    return str(path) if path.exists() else sys.executable


def _worker(shape: Shape) -> tuple[str, ...]:
    slots = {
        "engines": ("-c", str(shape.slots)),
        "slots": ("-c", str(shape.slots)),
        "threads": ("--processes", "2", "--threads", str(shape.slots // 2)),
        "coroutines": ("-c", "2"),
    }
    return ("-m", "celeriac", "-A", "celeriac_side", "worker", *slots[shape.kind], "--loglevel", "WARNING")


_ON_REDIS = System(
    name="celeriac",
    title="celeriac",
    python=_python,
    side="celeriac_side",
    worker=_worker,
    tasks_in=RedisKeys(queues=("celery",), unfinished=("celery", "unacked")),
    imports="import celeriac; celeriac.Celeriac",
    pace=25.0,
    tuned={"waiting": {"CELERIAC_WORKER_ASYNC_CONCURRENCY": "50"}},  # in each engine: 100 in all, as its peers have
)
_IN_SQLITE = SqliteRows(
    hide="UPDATE messages SET queue = 'hidden' WHERE queue = 'celery'",
    show="UPDATE messages SET queue = 'celery' WHERE queue = 'hidden'",
    unfinished="SELECT 1 FROM messages LIMIT 1",
)
SYSTEM = replace(
    _ON_REDIS,
    elsewhere=(
        replace(_ON_REDIS, tasks_in=_IN_SQLITE),
        replace(_ON_REDIS, tasks_in=RabbitQueues(("celery", "classic", "quorum")), pace=8.0),
    ),
)
