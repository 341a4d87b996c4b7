"""The floor: the smallest Python loop that keeps the promise of at least once (see `sides/floor_side.py`)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.systems.system import SIDES, RabbitQueues, RedisKeys, Shape, SqliteRows, System


def _worker(side: str) -> Callable[[Shape], tuple[str, ...] | None]:
    def worker(shape: Shape) -> tuple[str, ...] | None:
        return (str(SIDES / f"{side}.py"), str(shape.slots)) if shape.kind == "engines" else None

    return worker


_ON_SQLITE = System(
    name="floor",
    title="floor",
    python=lambda: sys.executable,
    side="floor_sqlite_side",
    worker=_worker("floor_sqlite_side"),
    tasks_in=SqliteRows(
        hide="UPDATE tasks SET state = 2 WHERE state = 0",
        show="UPDATE tasks SET state = 0 WHERE state = 2",
        unfinished="SELECT 1 FROM tasks LIMIT 1",
    ),
    imports="import sqlite3, msgspec",
    pace=50.0,
)
_ON_RABBITMQ = System(
    name="floor",
    title="floor",
    python=lambda: sys.executable,
    side="floor_rabbitmq_side",
    worker=_worker("floor_rabbitmq_side"),
    tasks_in=RabbitQueues(("floor",)),
    imports="import msgspec",
    pace=10.0,
)
SYSTEM = System(
    name="floor",
    title="floor",
    python=lambda: sys.executable,
    side="floor_side",
    worker=_worker("floor_side"),
    tasks_in=RedisKeys(
        queues=("floor:queue",), unfinished=("floor:queue", "floor:held", "floor:held:1", "floor:held:2")
    ),
    imports="import redis, msgspec",
    pace=50.0,
    elsewhere=(_ON_SQLITE, _ON_RABBITMQ),
)
