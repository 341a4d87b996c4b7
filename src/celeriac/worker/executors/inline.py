"""Synchronous tasks, one at a time, in the engine's main thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from celeriac.interfaces.executor import TimeLeft
from celeriac.types import Seconds

J = TypeVar("J")


class InlineExecutor(Generic[J]):
    """One slot: the caller's own thread. `submit` returns when the task has ended."""

    slots: Final = 1

    def __init__(self, run: Callable[[J], None]) -> None:
        self._run = run
        self._started = 0.0
        self.free = 1

    @property
    def busy(self) -> int:
        return 1 - self.free

    @property
    def longest(self) -> Seconds:
        """How long the job that started first has been running; 0 when none runs."""
        started = self._started
        return 0.0 if self.free else time.monotonic() - started

    def start(self) -> None:
        """Nothing to make ready."""

    def submit(self, job: J) -> None:
        self._started = time.monotonic()
        self.free = 0
        try:
            self._run(job)
        finally:
            self.free = 1

    def stop(self, time_left: TimeLeft) -> bool:  # noqa: ARG002  the contract's
        """Return at once: called from the one thread that could be running something."""
        return True
