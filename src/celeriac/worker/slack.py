"""Memory that an engine has no use for any more, when it comes to rest after much work."""

from __future__ import annotations

import ctypes
from typing import Any, Final

_MUCH: Final = 1000
"""Deliveries after which there may be something to give back; one that is called alone must not wait for it."""


class Slack:
    """Gives memory that was freed back to the system. Used by one thread.

    The C library keeps what large batches took, some 300 KiB an engine, since more may come. glibc can be asked to let
    go (``malloc_trim``); where there is none, nothing is done.
    """

    def __init__(self) -> None:
        self._deliveries = 0
        self._trim: Any = getattr(ctypes.pythonapi, "malloc_trim", None)

    def note(self, deliveries: int) -> None:
        """Take note of what was claimed."""
        self._deliveries += deliveries

    def let_go(self) -> None:
        """Give back what there is, if much was done since the last time."""
        if self._deliveries >= _MUCH and self._trim is not None:
            self._deliveries = 0
            self._trim(0)
