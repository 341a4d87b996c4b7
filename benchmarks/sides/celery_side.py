"""Stock Celery's tasks and client, with the settings that were fastest of those tried and promise what ours do."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import celery
import flows
import work
from celery import Celery

URL = os.environ["BENCHMARK_URL"]

IS_ON_RABBITMQ = URL.startswith("amqp")

app = Celery("celery_side", broker=URL, backend="rpc://" if IS_ON_RABBITMQ else URL)
app.conf.update(
    task_acks_late=True,  # the promise that celeriac keeps by default: what a crash cuts off runs again
    worker_prefetch_multiplier=int(os.environ.get("BENCHMARK_CELERY_PREFETCH", "1024")),
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
    task_track_started=False,
    broker_connection_retry_on_startup=True,
)
if os.environ.get("BENCHMARK_CONFIRMED"):
    app.conf.broker_transport_options = {"confirm_publish": True}


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
FLOWS = flows.make(celery, add, total)
for function in (work.burn, work.nap, work.mark):
    TASKS[function.__name__] = app.task(ignore_result=True)(function)


def sender(task: str) -> Callable[[Any], Any]:
    return TASKS[task].delay


call = echo.delay


def read(handle: Any) -> Any:
    return handle.get(timeout=60)


def read_all(handles: list[Any]) -> list[Any]:
    if IS_ON_RABBITMQ:
        return [handle.get(timeout=300) for handle in handles]
    # Twice as fast as `ResultSet.join_native` and as `get` in a loop: it asks for many at once, every 20 ms.
    found = dict(app.backend.get_many([handle.id for handle in handles], timeout=300, interval=0.02))
    return [found[handle.id]["result"] for handle in handles]


def versions() -> dict[str, str]:
    known = {}
    for name in ("celery", "kombu", "redis", "hiredis"):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "not installed"
    return known
