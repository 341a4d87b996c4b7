"""Tasks in a SQLite file, beside the smallest loop that keeps the same promise there."""

from __future__ import annotations

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_WARM_UP = 200
_IN_BULK = 4
"""Times the tasks sent one at a time."""


def _enqueue(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("send", count=_WARM_UP)
        one = client.do("send", count=tasks)
        bulk = client.do("send_many", count=tasks * _IN_BULK)
    return {
        "sqlite_enqueue_rate": tasks / one["wall"],
        "sqlite_enqueue_cpu": one["cpu"] / tasks * 1e6,
        "sqlite_bulk_rate": tasks * _IN_BULK / bulk["wall"],
        "sqlite_bulk_cpu": bulk["cpu"] / (tasks * _IN_BULK) * 1e6,
    }


def _drain(site: Site, tasks: int) -> dict[str, float]:
    done = drain(site, tasks, task="echo")
    return {"sqlite_drain_rate": done.rate, "sqlite_drain_cpu": done.cpu}


ENQUEUE = Scenario(
    name="sqlite-enqueue",
    title="SQLite: enqueue",
    figures=(
        Figure("sqlite_enqueue_rate", "rate, one at a time", "/s", more=True, targets=(Target(0.5, of=("floor",)),)),
        Figure("sqlite_enqueue_cpu", "client CPU per message", "µs"),
        Figure("sqlite_bulk_rate", "rate in bulk", "/s", more=True),
        Figure("sqlite_bulk_cpu", "client CPU per message in bulk", "µs"),
    ),
    measure=_enqueue,
    tasks=10_000,
    fast=1000,
    even=True,
    store="sqlite",
    only=("floor", "celeriac"),
)
DRAIN = Scenario(
    name="sqlite-drain",
    title="SQLite: drain no-op tasks with results, 2 engines",
    figures=(
        Figure("sqlite_drain_rate", "rate", "/s", more=True, targets=(Target(0.3, of=("floor",)),)),
        Figure("sqlite_drain_cpu", "CPU per task", "µs"),
    ),
    measure=_drain,
    tasks=30_000,
    fast=2000,
    even=True,
    store="sqlite",
    only=("floor", "celeriac"),
)
