"""celeriac's tasks and client. It runs with its defaults: late acknowledgement, results beside the tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

import flows
import work

import celeriac
from celeriac import Celeriac
from celeriac.result import ResultSet

settings = json.loads(os.environ.get("BENCHMARK_SETTINGS", "{}"))
app = Celeriac("celeriac_side", broker=os.environ["BENCHMARK_URL"], **settings)


@app.task(ignore_result=True)
def noop(value: Any) -> None:
    """Do nothing."""


@app.task
def echo(number: int) -> int:
    return number


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


TASKS = {"noop": noop, "echo": echo}
FLOWS = flows.make(celeriac, add, total)
for function in work.FUNCTIONS:
    TASKS[function.__name__] = app.task(ignore_result=True)(function)


def sender(task: str) -> Callable[[Any], Any]:
    return TASKS[task].delay


def send_many(task: str, values: Iterable[Any]) -> None:
    TASKS[task].delay_many((value,) for value in values)


def send_grouped(task: str, values: Iterable[Any]) -> None:
    """Send from as many coroutines as there are values."""
    import asyncio

    async def send() -> None:
        await asyncio.gather(*(TASKS[task].adelay(value) for value in values))

    asyncio.run(send())


call = echo.delay


def call_many(numbers: Iterable[int]) -> list[Any]:
    return echo.delay_many((number,) for number in numbers)


def read(handle: Any) -> Any:
    return handle.get(timeout=60)


def read_all(handles: list[Any]) -> list[Any]:
    return ResultSet(handles).get(timeout=60)


def versions() -> dict[str, str]:
    return {"celeriac": celeriac.__version__, **{name: version(name) for name in ("hiredis", "msgspec")}}
