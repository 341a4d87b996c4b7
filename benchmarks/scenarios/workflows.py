"""A chain of 100, a group of 1,000 and a chord of 1,000, from sending to the value; and a chord of 100,000."""

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


def _measure_many(site: Site, tasks: int) -> dict[str, float]:
    """Compare a chord of so many members, from a generator, with chords of a thousand."""
    with site.client() as client, site.worker():
        client.do("flow", kind="chord", count=1)
        small = median(client.do("flow", kind="chord", count=_SMALL_ONES)["seconds"]) / 1000
        large = client.do("chord_of", size=tasks)
    each = large["seconds"] / tasks
    return {"many_each": each * 1e6, "many_share": each / small, "many_memory": large["memory"] / 2**20}


_SMALL_ONES = 5

MANY = Scenario(
    name="workflows-many",
    title="Chord of 100,000 from a generator",
    figures=(
        Figure("many_each", "time per member to its value", "µs"),
        Figure("many_share", "the same, share of that in a chord of 1,000", "", targets=(Target(1.0),)),
        Figure("many_memory", "what it adds to the client's memory (RSS, peak)", "MiB", targets=(Target(50.0),)),
    ),
    measure=_measure_many,
    tasks=100_000,
    fast=2000,
    even=True,
    only=("celeriac",),
)
