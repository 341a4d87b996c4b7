"""When an engine has done enough and another shall take its place."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from celeriac.types import Seconds

if sys.platform != "win32":
    import resource

_STATM: Final = Path("/proc/self/statm")
_PAUSE: Final[Seconds] = 0.05
"""Seconds between two looks at the memory: a look takes some 10 µs."""
_UNLIMITED: Final = sys.maxsize


class Wear:
    """Counts tasks and looks at the memory, after each task, where either is limited. Thread-safe.

    `most_kib` is in KiB, as in Celery.
    """

    def __init__(self, *, most_tasks: int | None, most_kib: int | None) -> None:
        self._most_tasks = most_tasks or _UNLIMITED
        self._most_kib = most_kib
        self.is_limited = bool(most_tasks) or most_kib is not None
        """Whether it ever is done: `note` wants to be called then."""
        self._guard_count = threading.Lock()
        self._count = 0
        self._looked = 0.0
        self.reason: str | None = None
        """Why the engine is done, None while it is not."""

    @property
    def tasks_left(self) -> int:
        """How many tasks it may still take; at least 1 while it is not done."""
        return max(1, self._most_tasks - self._count)

    def note(self) -> None:
        """Take note that a task ended."""
        with self._guard_count:
            self._count += 1
            count = self._count
        if count >= self._most_tasks:
            self.reason = f"it ran {count} tasks"
        elif self._most_kib is not None and time.monotonic() - self._looked > _PAUSE:
            self._looked = time.monotonic()
            used = resident_kib()
            if used > self._most_kib:
                self.reason = f"it uses {used} KiB of memory"


def resident_kib() -> int:
    """Return the memory that this process has in use, in KiB; its peak, or 0, where the system does not tell more."""
    if sys.platform == "win32":
        return 0
    if _STATM.exists():
        return int(_STATM.read_text("ascii").split()[1]) * (os.sysconf("SC_PAGESIZE") // 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak
