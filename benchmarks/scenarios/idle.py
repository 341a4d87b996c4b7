"""A node with nothing to do: what it uses of a core, and how often it asks the server."""

from __future__ import annotations

import time

from benchmarks.figures import PEERS, Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.stores import RedisStore

_SETTLING = 3.0


def measure(site: Site, seconds: int) -> dict[str, float]:
    assert isinstance(site.store, RedisStore)
    with site.client() as client, site.worker() as worker:
        client.do("round_trips", count=1, pause=0.0)
        time.sleep(_SETTLING)
        site.store.forget_commands()
        before = worker.cost()
        time.sleep(seconds)
        cost = worker.cost() - before
        return {
            "idle_cpu": cost.worker / cost.wall * 100,
            "idle_commands": site.store.commands() / cost.wall / 2,
        }


SCENARIO = Scenario(
    name="idle",
    title="Idle node, 2 engines",
    figures=(
        Figure("idle_cpu", "the node's CPU", "% of a core", targets=(Target(0.2),)),
        Figure("idle_commands", "Redis commands per second and engine", "/s", targets=(Target(1.0),)),
    ),
    measure=measure,
    tasks=20,
    fast=3,
    even=True,
    only=("celeriac", *PEERS),
    together=True,
)
