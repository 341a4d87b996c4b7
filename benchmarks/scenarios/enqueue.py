"""Sending one task at a time, from one thread, to a queue that nobody serves."""

from __future__ import annotations

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_WARM_UP = 200


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("send", count=_WARM_UP)
        cost = client.do("send", count=tasks)
    return {
        "enqueue_cpu": cost["cpu"] / tasks * 1e6,
        "enqueue_rate": tasks / cost["wall"],
        "queued_bytes": site.queued_bytes() / (tasks + _WARM_UP),
    }


SCENARIO = Scenario(
    name="enqueue",
    title="Enqueue one at a time",
    figures=(
        Figure("enqueue_cpu", "client CPU per message", "µs", target=Target(1 / 9, of_celery=True)),
        Figure("enqueue_rate", "rate", "/s", more=True),
        Figure("queued_bytes", "memory in Redis per queued task", "B", target=Target(450)),
    ),
    measure=measure,
    tasks=3000,
    fast=300,
)
