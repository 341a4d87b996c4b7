"""Time, as a part that is handed in: the system's in production, a scripted one in tests."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Where a part reads the time. All moments are seconds since the epoch, UTC; all spans are seconds.

    Implementations are safe to call from several threads.
    """

    def now(self) -> float:
        """Return the wall-clock moment (UTC epoch seconds). It may step when the system's clock is set."""

    def monotonic(self) -> float:
        """Return a reading that never goes back, for measuring spans within one process."""

    def boottime(self) -> float:
        """Return a reading like `monotonic`, which also counts the time that the machine was suspended.

        All processes of a machine share it. Where the system has no such clock, it stands still in a suspension too.
        """

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""


class SystemClock:
    """The machine's own clock. Its readings are the functions themselves: each is wanted several times a task."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    if sys.platform == "linux":
        boottime = staticmethod(partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    else:
        boottime = monotonic
    sleep = staticmethod(time.sleep)


SYSTEM_CLOCK = SystemClock()
