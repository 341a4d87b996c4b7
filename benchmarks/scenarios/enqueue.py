"""Sending one task at a time, from one thread, to a queue that nobody serves."""

from __future__ import annotations

from benchmarks.figures import PEERS, Figure, Target
from benchmarks.scenarios.scenario import Scenario, kept_awake
from benchmarks.site import Site
from benchmarks.stores import RedisStore

_WARM_UP = 200


def measure(site: Site, tasks: int) -> dict[str, float]:
    assert isinstance(site.store, RedisStore)
    with site.client() as client:
        client.do("send", count=_WARM_UP)
        cost = client.do("send", count=tasks)
    return {
        "enqueue_cpu": cost["cpu"] / tasks * 1e6,
        "enqueue_rate": tasks / cost["wall"],
        "queued_bytes": site.store.queued_bytes() / (tasks + _WARM_UP),
    }


SCENARIO = Scenario(
    name="enqueue",
    title="Enqueue one at a time",
    figures=(
        Figure(
            "enqueue_cpu",
            "client CPU per message",
            "µs",
            targets=(Target(1 / 9, of=("celery",)), Target(1, of=PEERS)),
        ),
        Figure("enqueue_rate", "rate", "/s", more=True),
        Figure("queued_bytes", "memory in Redis per queued task", "B", targets=(Target(450),)),
    ),
    measure=measure,
    tasks=3000,
    fast=300,
)
AWAKE = kept_awake(SCENARIO)
