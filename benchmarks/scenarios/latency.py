"""One call at a time on an idle worker: from sending to holding the result."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Target, percentile
from benchmarks.scenarios.draining import REST
from benchmarks.scenarios.scenario import Scenario, kept_awake
from benchmarks.site import Site

_WARM_UP = 20
_PAUSE = 0.005


def measure(site: Site, tasks: int) -> dict[str, float]:
    with site.client() as client, site.worker():
        client.do("round_trips", count=_WARM_UP, pause=_PAUSE)
        time.sleep(REST)
        took = client.do("round_trips", count=tasks, pause=_PAUSE)["seconds"]
    return {"latency_p50": percentile(took, 0.5) * 1e3, "latency_p99": percentile(took, 0.99) * 1e3}


SCENARIO = Scenario(
    name="latency",
    title="Latency, idle worker",
    figures=(
        Figure("latency_p50", "enqueue to result, p50", "ms", targets=(Target(0.2, of=("celery",)),)),
        Figure("latency_p99", "enqueue to result, p99", "ms", targets=(Target(3.0),)),
    ),
    measure=measure,
    tasks=400,
    fast=50,
    even=True,
    work="quick",
)
AWAKE = kept_awake(SCENARIO)
