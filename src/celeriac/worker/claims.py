"""How many messages an engine takes at once."""

from __future__ import annotations

from typing import Final

from celeriac.types import Seconds

_WORK_AHEAD: Final[Seconds] = 0.05
_FREELY: Final[Seconds] = 0.005
_SOON: Final[Seconds] = 0.01
"""Some times what a claim takes."""
_MOST: Final = 200
_WEIGHT: Final = 0.2
_NEW_WEIGHT: Final = 0.5


class ClaimSize:
    """As many as fit in about 50 ms of work of all slots, by the moving mean of run times; 1 while nothing is known.

    The mean follows slower tasks at once and faster ones by and by: to take too much holds others up, to take too
    little costs only a trip more.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._mean: Seconds | None = None

    def note(self, runtime: Seconds) -> None:
        """Take in how long a task ran."""
        mean = self._mean
        if mean is None or runtime > mean:
            self._mean = runtime if mean is None else mean + (runtime - mean) * _NEW_WEIGHT
        else:
            self._mean = mean + (runtime - mean) * _WEIGHT

    @property
    def size(self) -> int:
        """Return how many to take; at least 1."""
        mean, work = self._mean, _WORK_AHEAD * self._slots
        return 1 if mean is None else _MOST if mean * _MOST <= work else max(1, int(work / mean))

    @property
    def freely(self) -> int:
        """Return how many of these to take even if little is left for others: 5 ms of work; at least 1."""
        mean, work = self._mean, _FREELY * self._slots
        return 1 if mean is None else _MOST if mean * _MOST <= work else max(1, int(work / mean))

    @property
    def expected(self) -> Seconds:
        """Return how long the next task is expected to run; infinite while nothing is known."""
        return float("inf") if self._mean is None else self._mean

    @property
    def reserve(self) -> int:
        """Return how many slots get free until a claim is answered; at most all, 0 while nothing is known."""
        if self._mean is None:
            return 0
        work = _SOON * self._slots
        return self._slots if self._mean * self._slots <= work else int(work / self._mean)
