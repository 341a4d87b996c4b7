"""celeriac's tasks and client. It runs with its defaults: late acknowledgement, results in the broker's Redis."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import celeriac
from celeriac import Celeriac

app = Celeriac("celeriac_side", broker=os.environ["BENCHMARK_URL"])


@app.task(ignore_result=True)
def noop(number: int) -> None:
    """Do nothing."""


@app.task
def echo(number: int) -> int:
    return number


send = noop.delay
call = echo.delay


def send_many(numbers: Iterable[int]) -> None:
    noop.delay_many((number,) for number in numbers)


def call_many(numbers: Iterable[int]) -> list[Any]:
    return echo.delay_many((number,) for number in numbers)


def read(handle: Any) -> Any:
    return handle.get(timeout=60)


def read_all(handles: list[Any]) -> list[Any]:
    return [handle.get(timeout=60) for handle in handles]


def versions() -> dict[str, str]:
    return {"celeriac": celeriac.__version__, **{name: version(name) for name in ("redis", "hiredis", "msgspec")}}
