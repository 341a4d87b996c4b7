"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.figures import Curve, Figure
from benchmarks.site import Site
from benchmarks.systems.system import StoreName, Work


@dataclass(frozen=True, slots=True)
class Scenario:
    """A piece of work, and the figures it yields.

    `measure` does the work on a site with an empty store, for so many tasks, and returns values by the figures' keys;
    what a system cannot do is left out. `tasks` and `fast` are the numbers of tasks for Celery, in a full run and in a
    fast one; other systems get more by their pace, unless `even`. `only` names the systems that it is for. `together`
    lets all systems work at the same time, each on a server of its own: for work that hardly uses a core. `work` is
    what the systems are set up for. `awake` keeps the cores from halting meanwhile.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Site, int], dict[str, float]]
    tasks: int
    fast: int
    even: bool = False
    store: StoreName = "redis"
    only: tuple[str, ...] | None = None
    together: bool = False
    work: Work = "many"
    awake: bool = False
    curves: tuple[Curve, ...] = ()

    def count(self, pace: float, *, fast: bool) -> int:
        """Return how many tasks a system of that pace gets."""
        tasks = self.fast if fast else self.tasks
        return tasks if self.even else int(tasks * pace)


def kept_awake(scenario: Scenario) -> Scenario:
    """Return the same scenario with the cores kept awake, and figures of its own."""

    def measure(site: Site, tasks: int) -> dict[str, float]:
        return {f"{key}_awake": value for key, value in scenario.measure(site, tasks).items()}

    return replace(
        scenario,
        name=f"{scenario.name}-awake",
        title=f"{scenario.title}, cores kept awake",
        figures=tuple(replace(figure, key=f"{figure.key}_awake") for figure in scenario.figures),
        measure=measure,
        awake=True,
    )
