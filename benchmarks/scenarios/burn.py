"""Tasks that compute for a millisecond, on two engines, and the same work in two bare processes before and after."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.systems.system import SIDES

_ENGINES = 2
_POLL = 0.02
"""Seconds; a hundredth of what the work takes. Both cores are taken: each look is time that the tasks do not have."""


def measure(site: Site, tasks: int) -> dict[str, float]:
    loops = round(machine.calibrate()["per_cpu_second"] / 1000)
    bare = [_bare(site, tasks, loops)]
    done = drain(site, tasks, task="burn", value=loops, poll=_POLL)
    bare.append(_bare(site, tasks, loops))
    wall = sum(run["wall"] for run in bare) / len(bare)
    cpu = sum(run["cpu"] for run in bare) / len(bare)
    return {
        "burn_share": wall / done.cost.wall,
        "burn_cpu_share": cpu / (done.cost.worker + done.cost.broker),
        "burn_overhead": done.cpu - cpu / tasks * 1e6,
    }


def _bare(site: Site, tasks: int, loops: int) -> dict[str, float]:
    return site.run(str(SIDES / "bare.py"), str(_ENGINES), str(tasks), str(loops))


SCENARIO = Scenario(
    name="burn",
    title="Compute 1 ms, 2 engines, beside a bare loop",
    figures=(
        Figure("burn_share", "rate, share of the bare loop's", "", more=True, targets=(Target(0.95),)),
        Figure("burn_cpu_share", "the bare loop's CPU, share of worker's and broker's", "", more=True),
        Figure("burn_overhead", "CPU per task beyond the bare loop's", "µs"),
    ),
    measure=measure,
    tasks=4000,
    fast=400,
    even=True,
)
