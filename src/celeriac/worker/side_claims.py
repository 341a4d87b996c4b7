"""Work for the event loop while every synchronous slot is taken.

An engine does not claim while its slots are taken, since it cannot know of a message in the store whether it is for a
slot or for the event loop. A long synchronous task would so keep coroutines from starting. This thread claims a few
messages then; what turns out to be for a slot is given back at once, first in line, and the thread rests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from celeriac.types import Seconds

_SETTLED: Final[Seconds] = 0.05
"""Seconds that the slots must have been taken before this thread claims."""
_FIRST_REST: Final[Seconds] = 0.25
_LONGEST_REST: Final[Seconds] = 4.0


class SideClaims:
    """A thread that calls `claim` while `wanted` says so.

    `claim` waits for work, and returns False when it found work for slots: then the thread rests, longer each time.
    """

    def __init__(self, *, wanted: Callable[[], bool], claim: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._claim = claim
        self._busy = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="celeriac-side-claims", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._busy.set()
        self._thread.join(timeout=5.0)

    def watch(self) -> None:
        """Say that the slots may be taken now."""
        if not self._busy.is_set():
            self._busy.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._busy.wait(timeout=60.0)
            self._busy.clear()
            rest = _FIRST_REST
            while not self._stopped.wait(_SETTLED) and self._wanted():
                if self._claim():
                    rest = _FIRST_REST
                elif not self._stopped.wait(rest):
                    rest = min(_LONGEST_REST, rest * 2)
