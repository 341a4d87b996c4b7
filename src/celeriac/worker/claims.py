"""How many messages an engine takes at once."""

from __future__ import annotations

import math
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
        self._ahead, self._soon = _WORK_AHEAD * slots, _FREELY * slots
        self.expected: Seconds = math.inf
        """How long the next task is expected to run; infinite while nothing is known."""
        self.size = 1
        """How many to take; at least 1."""
        self.freely = 1
        """How many of these to take even if little is left for others: 5 ms of work; at least 1."""

    def note(self, runtime: Seconds) -> None:
        """Take in how long a task ran."""
        mean = self.expected
        if runtime > mean:
            mean += (runtime - mean) * _NEW_WEIGHT
        elif mean == math.inf:
            mean = runtime
        else:
            mean += (runtime - mean) * _WEIGHT
        self.expected = mean
        if mean * _MOST <= self._soon:
            self.size = self.freely = _MOST
        else:
            self.size = _MOST if mean * _MOST <= self._ahead else int(self._ahead / mean) or 1
            self.freely = int(self._soon / mean) or 1

    @property
    def reserve(self) -> int:
        """Return how many slots get free until a claim is answered; at most all, 0 while nothing is known."""
        mean, work = self.expected, _SOON * self._slots
        return self._slots if mean * self._slots <= work else int(work / mean)
