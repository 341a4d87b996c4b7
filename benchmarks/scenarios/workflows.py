"""A chain of 100, a group of 1,000 and a chord of 1,000, from sending to the value."""

from __future__ import annotations

from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site


def measure(site: Site, tasks: int) -> dict[str, float]:
    figures = {}
    with site.client() as client, site.worker():
        client.do("round_trips", count=1, pause=0.0)
        for kind in ("chain", "group", "chord"):
            client.do("flow", kind=kind, count=1)
            figures[f"workflow_{kind}"] = median(client.do("flow", kind=kind, count=tasks)["seconds"]) * 1e3
    return figures


SCENARIO = Scenario(
    name="workflows",
    title="Workflows",
    figures=(
        Figure("workflow_chain", "chain of 100 to its value", "ms", targets=(Target(1 / 5, of=("celery",)),)),
        Figure("workflow_group", "group of 1,000, all read", "ms", targets=(Target(1 / 15, of=("celery",)),)),
        Figure("workflow_chord", "chord of 1,000 to its value", "ms", targets=(Target(1 / 15, of=("celery",)),)),
    ),
    measure=measure,
    tasks=5,
    fast=1,
    even=True,
    only=("celery", "celeriac"),
)
