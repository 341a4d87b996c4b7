"""What is measured: names, units, and what celeriac shall reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for celeriac's figure: times Celery's figure (`of_celery`), or in the figure's own unit."""

    bound: float
    of_celery: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a scenario yields under `key`. `more` says that a larger one is better."""

    key: str
    title: str
    unit: str
    more: bool = False
    target: Target | None = None

    def bound(self, celery: float | None) -> float | None:
        """Return what celeriac shall reach; None without a target, or without Celery's figure where it needs that."""
        if self.target is None:
            return None
        if not self.target.of_celery:
            return self.target.bound
        return None if celery is None else self.target.bound * celery

    def is_met(self, ours: float, celery: float | None) -> bool | None:
        """Tell whether celeriac's figure is as good as it shall be; None without a bound."""
        bound = self.bound(celery)
        if bound is None:
            return None
        return ours >= bound if self.more else ours <= bound


Samples = Mapping[str, Sequence[float]]
"""The values of one system, a round each, by the figure's key."""


def medians(samples: Samples) -> dict[str, float]:
    """Return the median of each figure."""
    return {key: statistics.median(values) for key, values in samples.items() if values}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
