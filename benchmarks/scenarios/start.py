"""From the start of the worker's command to the end of its first task, seen by the client that waits for it."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client:
        client.do("call_all", count=tasks)
        started = time.monotonic()
        with site.worker():
            ended = client.do("read_all")["ended"]
    return {"start": ended - started}


SCENARIO = Scenario(
    name="start",
    title="Start",
    figures=(Figure("start", "start to first task done", "s", targets=(Target(0.35),)),),
    measure=measure,
    tasks=1,
    fast=1,
    even=True,
    work="quick",
)
