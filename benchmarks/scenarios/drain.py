"""Running tasks that do nothing and keep no result, from a full queue, with late acknowledgement, on two engines."""

from __future__ import annotations

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_MIB = 2**20


def measure(site: Site, tasks: int) -> dict[str, float]:
    done = drain(site, tasks)
    return {
        "drain_rate": done.rate,
        "drain_cpu": done.cpu,
        "drain_worker_cpu": done.worker_cpu,
        "drain_broker_cpu": done.broker_cpu,
        "drain_commands": done.commands / tasks,
        "memory_idle": done.memory_before / _MIB,
        "memory_growth": (done.memory_after - done.memory_before) / _MIB,
    }


SCENARIO = Scenario(
    name="drain",
    title="Drain no-op tasks, no results",
    figures=(
        Figure(
            "drain_rate",
            "rate, 2 engines",
            "/s",
            more=True,
            targets=(Target(25, of=("celery",)), Target(4, of=("dramatiq",))),
        ),
        Figure(
            "drain_cpu",
            "CPU per task, worker and broker",
            "µs",
            targets=(Target(1 / 40, of=("celery",)), Target(1 / 5, of=("dramatiq",))),
        ),
        Figure("drain_worker_cpu", "of that, the worker's", "µs"),
        Figure("drain_broker_cpu", "of that, the broker's", "µs"),
        Figure("drain_commands", "Redis commands per task", "", targets=(Target(0.1),)),
        Figure("memory_idle", "node's memory (PSS), idle", "MiB", targets=(Target(45),)),
        Figure("memory_growth", "what the drain adds to it", "MiB", targets=(Target(3),)),
    ),
    measure=measure,
    tasks=4000,
    fast=400,
)
