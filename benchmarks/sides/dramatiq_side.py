"""Dramatiq's tasks and client, on its Redis or RabbitMQ broker, with the settings that were fastest of those tried.

Its results are in Redis: it keeps none in RabbitMQ. It acknowledges late, as it always does. The middleware is reduced
to what a task here needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import dramatiq
import work
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Retries
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

URL = os.environ["BENCHMARK_URL"]

results = RedisBackend(url=os.environ.get("BENCHMARK_REDIS_URL") or URL)
middleware = [Retries(), *((AsyncIO(),) if work.HAS_COROUTINES else ()), Results(backend=results)]
broker = (
    RabbitmqBroker(url=URL, middleware=middleware, confirm_delivery=bool(os.environ.get("BENCHMARK_CONFIRMED")))
    if URL.startswith("amqp")
    else RedisBroker(url=URL, middleware=middleware)
)
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(value: Any) -> None:
    """Do nothing."""


@dramatiq.actor(store_results=True, result_ttl=3_600_000)
def echo(number: int) -> int:
    return number


TASKS = {"noop": noop, "echo": echo}
for function in work.FUNCTIONS:
    TASKS[function.__name__] = dramatiq.actor(function)


def sender(task: str) -> Callable[[Any], Any]:
    return TASKS[task].send


call = echo.send


def read(handle: Any) -> Any:
    return handle.get_result(backend=results, block=True, timeout=60_000)


def read_all(handles: list[Any]) -> list[Any]:
    return [handle.get_result(backend=results, block=True, timeout=60_000) for handle in handles]


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("dramatiq", "redis", "hiredis", "pika")}
