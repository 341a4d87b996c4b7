"""Revocations in the process's memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from celeriac.clock import Clock
from celeriac.drivers.memory.shelves import Shelves
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Moment, Seconds

_SOONER: Final[Seconds] = 60.0
"""What is known ends so much later than it would have, or keeps its end."""


class Known:
    """All revocations of one store, with number and end, oldest first; `revoking` guards them."""

    def __init__(self) -> None:
        self.revoking = threading.Lock()
        self.newest = 0
        self.revocations: dict[Revocation, tuple[int, Moment]] = {}


class MemoryRevocations:
    """The contract of revocations on one `Known`. Thread-safe."""

    def __init__(self, known: Known, shelves: Shelves, *, clock: Clock) -> None:
        self._known = known
        self._shelves = shelves
        self._clock = clock

    @property
    def heard(self) -> int:
        return self._known.newest

    def add(self, revocations: Sequence[Revocation]) -> None:
        now = self._clock.now()
        with self._known.revoking:
            kept = {one: told for one, told in self._known.revocations.items() if told[1] > now}
            for revocation in revocations:
                same, ends = replace(revocation, ttl=0.0), now + revocation.ttl
                if same not in kept or kept[same][1] < ends - _SOONER:
                    kept.pop(same, None)
                    self._known.newest += 1
                    kept[same] = self._known.newest, ends
            self._known.revocations = kept
        self._shelves.hasten({one.task_id for one in revocations if one.task_id}, now)

    def since(self, number: int) -> tuple[int, Sequence[Revocation]]:
        now = self._clock.now()
        with self._known.revoking:
            left = [(*told, one) for one, told in self._known.revocations.items() if told[1] > now]
            newest = self._known.newest if left else 0
        return newest, [replace(one, ttl=ends - now) for place, ends, one in left if place > number]
