"""Time, as a part that is handed in: the system's in production, a scripted one in tests."""

from __future__ import annotations

import sys
import time
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
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    if sys.platform == "linux":

        def boottime(self) -> float:
            return time.clock_gettime(time.CLOCK_BOOTTIME)

    else:
        boottime = monotonic

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
