"""What was claimed for the event loop and has not begun."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from celeriac.types import Seconds
from celeriac.worker.admission import Job
from celeriac.worker.claims import ClaimSize

_STUCK: Final[Seconds] = 0.05
"""When no coroutine has begun for this long, what waits is given back."""


class CoroutineBacklog:
    """Jobs that wait for a slot of the event loop, some claimed ahead so that no slot stays empty during a claim.

    Thread-safe: the engine's main thread fills it, the loop's thread takes the next job for a slot that was just left,
    the attendant gives back what is stuck. `is_open` tells whether more may begin, `is_sure` whether a job's
    lease lasts; `wake` has the main thread claim.
    """

    def __init__(
        self, *, slots: int, is_open: Callable[[], bool], is_sure: Callable[[Job], bool], wake: Callable[[], None]
    ) -> None:
        self.jobs: deque[Job] = deque()
        self._is_open = is_open
        self._is_sure = is_sure
        self._wake = wake
        self._claims = ClaimSize(slots)
        self._began = 0.0

    def limit(self, free: int) -> int:
        """Return how many to claim for the free slots and those that will be free soon."""
        reserve = self._claims.reserve
        wanted = free + reserve - len(self.jobs)
        return wanted if free or wanted > reserve // 2 else 0

    def next(self) -> Job | None:
        """Take the job that is first in line."""
        try:
            return self.jobs.popleft()
        except IndexError:
            return None

    def following(self) -> Job | None:
        """Take a job for a slot that was just left, if it can begin without a trip to a store."""
        job = self.next() if self._is_open() else None
        if job is None:
            return None
        runner = job.runner
        if job.is_doubtful or not job.acks_late or runner.tracks_started or not self._is_sure(job):
            self.jobs.appendleft(job)  # for the main thread
            return None
        if len(self.jobs) == self._claims.reserve // 2:
            self._wake()
        return job

    def began(self, moment: float) -> None:
        """Note that a coroutine began (by `time.monotonic`)."""
        self._began = moment

    def ended(self, runtime: Seconds) -> None:
        """Note how long a coroutine ran."""
        self._claims.note(runtime)

    def is_stuck(self, free: int) -> bool:
        """Tell whether what waits cannot begin soon."""
        return bool(self.jobs) and free == 0 and time.monotonic() - self._began > _STUCK
