"""An event that is looked at again and again: its state is an attribute, where `threading.Event` makes a call of it."""

from __future__ import annotations

import threading

from celeriac.types import Seconds


class Flag:
    """Set once, and for good. Thread-safe."""

    def __init__(self) -> None:
        self.is_set = False
        self._event = threading.Event()

    def set(self) -> None:
        self.is_set = True
        self._event.set()

    def wait(self, seconds: Seconds) -> bool:
        """Return as soon as it is set; False when it is not, that many seconds later."""
        return self._event.wait(seconds)
