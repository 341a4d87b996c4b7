"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import threading

EPOCH = 1_800_000_000.0
"""Where a `FakeClock` starts unless told otherwise; a whole number, so that spans come out exact."""


class FakeClock:
    """A `celeriac.clock.Clock` for tests. Thread-safe.

    Moments (leases, due times, ends) are read from it, so a test moves them without sleeping. What really blocks, such
    as ``Broker.receive(wait=...)``, is bounded in real seconds and does not end because this clock was advanced.
    """

    def __init__(self, start: float = EPOCH) -> None:
        self._reading = threading.Lock()
        self._start = start
        self._elapsed = 0.0

    def now(self) -> float:
        """Return the scripted moment (UTC epoch seconds)."""
        with self._reading:
            return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced."""
        with self._reading:
            return self._elapsed

    def boottime(self) -> float:
        """Return the same as `monotonic`."""
        return self.monotonic()

    def sleep(self, seconds: float) -> None:
        """Advance by `seconds`, and return at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once. Raises ValueError for a negative span."""
        if seconds < 0:
            raise ValueError(f"time does not go back (asked for {seconds} s)")
        with self._reading:
            self._elapsed += seconds
