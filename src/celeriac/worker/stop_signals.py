"""Signals that stop a node, handled in a thread.

A Python signal handler runs between two instructions of the main thread, which may hold the very lock that the handler
wants. So the handler does nothing: the interpreter writes the signal's number into a pipe, and a thread reads it there.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_NUMBERS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP") if hasattr(signal, name)
)


class StopSignals:
    """Calls `stop(now)` for each signal: False for the first TERM, INT or HUP, True for further ones and for any QUIT.

    Make and start it in the main thread.
    """

    def __init__(self, stop: Callable[[bool], None]) -> None:
        self._stop = stop
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._thread = threading.Thread(target=self._listen, name="celeriac-signals", daemon=True)

    def start(self) -> None:
        """Install the handlers and listen."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _NUMBERS:
            signal.signal(number, _nothing)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; further signals have no effect any more, so that the last steps are not cut short."""
        signal.set_wakeup_fd(-1)
        os.close(self._writer)
        self._thread.join(timeout=5.0)
        os.close(self._reader)

    def _listen(self) -> None:
        stops = 0
        while numbers := os.read(self._reader, 64):
            for number in numbers:
                if number in _NUMBERS:
                    stops += 1
                    self._stop(stops > 1 or signal.Signals(number).name == "SIGQUIT")


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal by doing nothing."""
