"""Running a task alone in its engine, when the next death of its holder would be one too many.

When an engine dies, nobody knows which of the tasks that ran in it was to blame, and each of them counts a crash. A
task that kills its engine would take its neighbours along, time after time, until all of them are dead letters. So what
has one crash left runs alone: the one that is to blame dies alone, and the others end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from celeriac.types import Seconds
from celeriac.wire.tasks import TaskCall
from celeriac.worker.flag import Flag

logger = logging.getLogger(__name__)

_OTHERS_END: Final[Seconds] = 5.0
"""Seconds that others get to end. What still runs then goes on beside it, rather than that it waits for hours."""
_ALONE: Final[Seconds] = 10.0
"""Seconds after which others may begin beside it: a task that ends its engine mostly does so at once, and many may have
one crash left that are not to blame, since their machine failed twice."""
_LOOK: Final[Seconds] = 0.02


class Solitude:
    """One task at a time has the engine for itself. `begin` and `end` are called by the thread that starts it.

    `busy` tells how many tasks run in the engine, `give_back` returns to the store what was claimed and has not begun.
    """

    def __init__(self, *, busy: Callable[[], int], give_back: Callable[[], None], stopping: Flag) -> None:
        self._busy = busy
        self._give_back = give_back
        self._stopping = stopping
        self._guard_begun = threading.Lock()
        self._owner = 0
        self._others = 0
        self.is_wanted = False
        """Whether nothing else may begin."""

    def begin(self, call: TaskCall, crashes: int) -> None:
        """Wait until nothing else runs, for some seconds, and let nothing else begin until `end`."""
        if not self._guard_begun.acquire(timeout=_OTHERS_END):
            return  # a task that came before it has been alone for longer: they share what is left of the risk
        text = "Task %s[%s] runs alone in its engine: its worker died %s time(s) while it ran"
        logger.warning(text, call.name, call.id, crashes)
        self._owner, self.is_wanted = threading.get_ident(), True
        self._give_back()
        self._wait(_OTHERS_END, until=0)
        self._others = self._busy()

    def end(self) -> None:
        """Wait for its end, ten seconds at most; then others may begin. Nothing where another thread has begun."""
        if self._owner != threading.get_ident():
            return
        try:
            self._wait(_ALONE, until=self._others)
        finally:
            self._owner, self.is_wanted = 0, False
            self._guard_begun.release()

    def _wait(self, longest: Seconds, *, until: int) -> None:
        ends = time.monotonic() + longest
        while self._busy() > until and time.monotonic() < ends and not self._stopping.is_set:
            time.sleep(_LOOK)
