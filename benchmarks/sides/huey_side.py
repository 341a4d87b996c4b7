"""huey's tasks and client, on Redis, with the settings that were fastest of those tried.

It promises less than the others: a task is popped before it runs, so a crash loses it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import work
from huey import RedisHuey

# Without it a reader polls every 50 ms, with it reading many results takes twice as long.
notify = bool(os.environ.get("BENCHMARK_HUEY_NOTIFY"))
app = RedisHuey("benchmark", url=os.environ["BENCHMARK_URL"], notify_result=notify)


@app.task()
def noop(value: Any) -> None:
    """Do nothing."""


@app.task()
def echo(number: int) -> int:
    return number


TASKS = {"noop": noop, "echo": echo}
for function in (work.burn, work.nap, work.mark):
    TASKS[function.__name__] = app.task()(function)


def sender(task: str) -> Callable[[Any], Any]:
    return TASKS[task]


call = echo


def read(handle: Any) -> Any:
    return handle.get(blocking=True, timeout=60)


def read_all(handles: list[Any]) -> list[Any]:
    return [handle.get(blocking=True, timeout=60) for handle in handles]


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("huey", "redis", "hiredis")}
