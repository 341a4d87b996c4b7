"""The end of a node that does not end by itself: because of a task in its own process, or a log that nobody reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from celeriac.types import Seconds

_LAST: Final[Seconds] = 5.0


class LastResort:
    """Ends this process unless `stand_down` is called in time. Thread-safe.

    `last_act` comes before that, and is not waited for longer than 5 s. `exit_code` is asked when it comes to that.
    """

    def __init__(self, last_act: Callable[[], None], *, exit_code: Callable[[], int]) -> None:
        self._last_act = last_act
        self._exit_code = exit_code
        self._stood_down = threading.Event()

    def end_after(self, seconds: Seconds) -> None:
        """End the process in so many seconds; the earliest of several calls counts."""
        timer = threading.Thread(target=self._wait, args=(seconds,), name="celeriac-last-resort", daemon=True)
        timer.start()

    def stand_down(self) -> None:
        """Let the process end by itself."""
        self._stood_down.set()

    def _wait(self, seconds: Seconds) -> None:
        if self._stood_down.wait(seconds):
            return
        try:
            last = threading.Thread(target=self._last_act, name="celeriac-last-act", daemon=True)
            last.start()
            last.join(_LAST)
        finally:
            os._exit(self._exit_code())
