"""The end of a node that does not end by itself: because of a task in its own process, a log that nobody reads, or a
thread of the application's.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from celeriac.types import Seconds

logger = logging.getLogger(__name__)

_LAST: Final[Seconds] = 5.0
_LEFT_BEHIND: Final[Seconds] = 5.0
"""Seconds that threads of the application's may go on when the node has stopped."""


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


def end_without_other_threads(code: int) -> None:
    """Let the process end with this code although the application has started threads for which Python waits.

    To be called last. They may end by themselves for 5 s, and then end with the process.
    """
    main = threading.main_thread()
    left = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not main]
    if left:
        told = partial(logger.warning, "The process ends although threads of the application run: %s", ", ".join(left))
        LastResort(told, exit_code=lambda: code).end_after(_LEFT_BEHIND)
