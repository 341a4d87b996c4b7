"""Sending many tasks in one call, to a queue that nobody serves; in a loop where a system has no such call."""

from __future__ import annotations

from benchmarks.figures import PEERS, Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_WARM_UP = 1000


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("send_many", count=_WARM_UP)
        cost = client.do("send_many", count=tasks)
    return {"bulk_rate": tasks / cost["wall"], "bulk_cpu": cost["cpu"] / tasks * 1e6}


SCENARIO = Scenario(
    name="bulk",
    title="Enqueue in bulk",
    figures=(
        Figure("bulk_rate", "rate", "/s", more=True, targets=(Target(5, of=PEERS), Target(0.5, of=("floor",)))),
        Figure("bulk_cpu", "client CPU per message", "µs"),
    ),
    measure=measure,
    tasks=5000,
    fast=500,
)
