"""What is measured: names, units, and what celeriac shall reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PEERS = ("celery", "dramatiq", "huey")
"""The systems that celeriac stands beside; not the floor, which is a bound."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for celeriac's figure: in its own unit, or times the best figure of the systems in `of`."""

    bound: float
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a scenario yields under `key`. `more` says that a larger one is better."""

    key: str
    title: str
    unit: str
    more: bool = False
    targets: tuple[Target, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True, slots=True)
class Curve:
    """Figures of one kind over something that grows: `points` are pairs of that and a figure's key."""

    title: str
    unit: str
    along: str
    points: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How celeriac stands to a target: `reached` and `bound` are shares of `beside`, or in the figure's unit."""

    figure: Figure
    bound: float
    reached: float
    beside: str | None

    @property
    def is_met(self) -> bool:
        return self.reached >= self.bound if self.figure.more else self.reached <= self.bound


def verdicts(figure: Figure, medians: Mapping[str, Mapping[str, float]], ours: str = "celeriac") -> list[Verdict]:
    """Judge our median of the figure by each target; none where one of the figures that it takes is missing."""
    judged = []
    value = medians.get(ours, {}).get(figure.key)
    for target in figure.targets:
        if value is None:
            continue
        if not target.of:
            judged.append(Verdict(figure, target.bound, value, None))
            continue
        theirs = {name: medians[name][figure.key] for name in target.of if figure.key in medians.get(name, {})}
        if theirs:
            best = (max if figure.more else min)(theirs, key=theirs.__getitem__)
            judged.append(Verdict(figure, target.bound, value / theirs[best], best))
    return judged


Samples = Mapping[str, Sequence[float]]
"""The values of one system, a round each, by the figure's key."""


def medians(samples: Samples) -> dict[str, float]:
    """Return the median of each figure."""
    return {key: statistics.median(values) for key, values in samples.items() if values}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
