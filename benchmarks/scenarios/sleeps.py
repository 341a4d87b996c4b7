"""Tasks that sleep for 10 ms, on 100 slots: what hides the waiting of many tasks behind one another's."""

from __future__ import annotations

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site
from benchmarks.systems.system import Shape

_SLOTS = 100
_SECONDS = 0.01
_IDEAL = _SLOTS / _SECONDS


def _coroutines(site: Site, tasks: int) -> dict[str, float]:
    return _measure(site, tasks, Shape("coroutines", _SLOTS), "anap")


def _threads(site: Site, tasks: int) -> dict[str, float]:
    return _measure(site, tasks, Shape("threads", _SLOTS), "nap")


def _measure(site: Site, tasks: int, shape: Shape, task: str) -> dict[str, float]:
    if not site.has(shape):
        return {}
    done = drain(site, tasks, task=task, value=_SECONDS, shape=shape)
    return {f"{shape.kind}_share": done.rate / _IDEAL, f"{shape.kind}_cpu": done.cpu}


COROUTINES = Scenario(
    name="coroutines",
    title="Sleep 10 ms on 100 slots, `async def`",
    figures=(
        Figure("coroutines_share", "rate, share of the ideal 10,000/s", "", more=True, targets=(Target(0.85),)),
        Figure("coroutines_cpu", "CPU per task, worker and broker", "µs"),
    ),
    measure=_coroutines,
    tasks=800,
    fast=100,
    work="waiting",
)
THREADS = Scenario(
    name="threads",
    title="Sleep 10 ms on 100 slots, threads",
    figures=(
        Figure("threads_share", "rate, share of the ideal 10,000/s", "", more=True, targets=(Target(0.7),)),
        Figure("threads_cpu", "CPU per task, worker and broker", "µs"),
    ),
    measure=_threads,
    tasks=800,
    fast=100,
    work="waiting",
)
