"""What each guarantee costs: the drain of no-op tasks, with one thing switched on or off at a time.

Leases cannot be switched off; one of an hour is never renewed within a run, so what is left is its bookkeeping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.figures import Figure
from benchmarks.scenarios.draining import drain
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Site

_VARIANTS: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("default", "as it is: late ack, leases, no results", "noop", {}),
    ("early", "acknowledged early", "noop", {"task_acks_late": False}),
    ("unrenewed", "leases of an hour", "noop", {"worker_lease": 3600.0}),
    ("renewed", "leases of a second, renewed all the time", "noop", {"worker_lease": 1.0}),
    ("results", "results stored", "echo", {}),
    ("results_early", "results stored, acknowledged early", "echo", {"task_acks_late": False}),
)


def _measure(name: str, task: str, settings: Mapping[str, Any]) -> Callable[[Site, int], dict[str, float]]:
    def measure(site: Site, tasks: int) -> dict[str, float]:
        site.settings = settings
        done = drain(site, tasks, task=task)
        return {f"cost_{name}_cpu": done.cpu, f"cost_{name}_rate": done.rate}

    return measure


SCENARIOS = tuple(
    Scenario(
        name=f"cost-{name.replace('_', '-')}",
        title=f"Cost of guarantees: {title}",
        figures=(
            Figure(f"cost_{name}_cpu", "CPU per task, worker and broker", "µs"),
            Figure(f"cost_{name}_rate", "rate, 2 engines", "/s", more=True),
        ),
        measure=_measure(name, task, settings),
        tasks=60_000,
        fast=5000,
        even=True,
        only=("celeriac",),
    )
    for name, title, task, settings in _VARIANTS
)
