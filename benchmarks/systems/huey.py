"""huey on Redis, in an environment of its own (see `sides/huey_side.py`)."""

from __future__ import annotations

from benchmarks.systems.system import RedisKeys, Shape, System, python_of

_WORKERS = {"engines": "process", "slots": "process", "threads": "thread"}


def _worker(shape: Shape) -> tuple[str, ...] | None:
    if shape.kind not in _WORKERS:
        return None
    slots = ("-k", _WORKERS[shape.kind], "-w", str(shape.slots))
    return ("-m", "huey.bin.huey_consumer", "huey_side.app", *slots, "--no-periodic", "--quiet", "-g", "TERM")


SYSTEM = System(
    name="huey",
    title="huey",
    python=python_of(".venv-bench-huey", "BENCHMARK_HUEY_PYTHON", "huey"),
    side="huey_side",
    worker=_worker,
    tasks_in=RedisKeys(queues=("huey.redis.benchmark",), unfinished=("huey.redis.benchmark",)),
    imports="import huey; huey.RedisHuey",
    pace=4.0,
    tuned={"quick": {"BENCHMARK_HUEY_NOTIFY": "1"}},
)
