"""Running tasks that do nothing and keep no result, from a full queue, with late acknowledgement, on two engines."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

REST = 0.5
"""Seconds for a worker to come to rest after its first task."""


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("fill", count=tasks - 1)
        site.stage()
        with site.worker() as worker:
            client.do("round_trips", count=1, pause=0.0)
            time.sleep(REST)
            idle = worker.memory()
            worker.forget_commands()
            before = worker.cost()
            site.release()
            client.do("send", count=1)  # and this one tells a worker that sleeps
            site.wait_until_done()
            cost = worker.cost() - before
            commands = worker.commands()
            drained = worker.memory()
    return {
        "drain_rate": tasks / cost.wall,
        "drain_cpu": (cost.worker + cost.broker) / tasks * 1e6,
        "drain_worker_cpu": cost.worker / tasks * 1e6,
        "drain_broker_cpu": cost.broker / tasks * 1e6,
        "drain_commands": sum(commands.values()) / tasks,
        "memory_idle": idle / 2**20,
        "memory_drained": drained / 2**20,
    }


SCENARIO = Scenario(
    name="drain",
    title="Drain no-op tasks, no results",
    figures=(
        Figure("drain_rate", "rate, 2 engines", "/s", more=True, target=Target(25, of_celery=True)),
        Figure("drain_cpu", "CPU per task, worker and broker", "µs", target=Target(1 / 40, of_celery=True)),
        Figure("drain_worker_cpu", "of that, the worker's", "µs"),
        Figure("drain_broker_cpu", "of that, the broker's", "µs"),
        Figure("drain_commands", "Redis commands per task", "", target=Target(0.1)),
        Figure("memory_idle", "node's memory (PSS), idle", "MiB", target=Target(45)),
        Figure("memory_drained", "the same, after the drain", "MiB", target=Target(48)),
    ),
    measure=measure,
    tasks=4000,
    fast=400,
)
