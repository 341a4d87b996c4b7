"""Runs that are revoked and have to end: when their engine is killed for it, if they do not end by themselves."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds
from celeriac.worker.board import EngineBoard, Running, as_written

_UNWILLING: Final[Seconds] = 5.0
"""Seconds that a run has to end by itself: time for its `finally` blocks."""
_AT_ONCE: Final = "SIGKILL"


class Terminations:
    """What has to have ended, and when. `ask` may come from any thread; the rest is the supervisor's."""

    def __init__(self) -> None:
        self._asked: deque[Revocation] = deque()
        self._ends: dict[str, Seconds] = {}

    def ask(self, revocations: Iterable[Revocation]) -> None:
        """Take in what is revoked; what it means for those that run is worked out by `overdue`."""
        self._asked.extend(one for one in revocations if one.signal)

    def note(self, signals: Mapping[str, str]) -> None:
        """Take in which runs an engine has told to end: by tag, the signal."""
        now = time.monotonic()
        for tag, signal in signals.items():
            self._ends.setdefault(as_written(tag), now if signal == _AT_ONCE else now + _UNWILLING)

    @property
    def next_at(self) -> Seconds:
        """When the next has to have ended, by `time.monotonic`; infinite while none has."""
        return min(self._ends.values(), default=float("inf"))

    def overdue(self, boards: Sequence[EngineBoard]) -> list[tuple[EngineBoard, Running]]:
        """Return the runs that have not ended in time, each once."""
        if not self._asked and not self._ends:
            return []
        running = [(board, run) for board in boards for run in board.running()]
        self._find(run for _, run in running)
        now = time.monotonic()
        due = {tag for tag, moment in self._ends.items() if moment <= now}
        there = {run.tag for _, run in running}
        self._ends = {tag: moment for tag, moment in self._ends.items() if tag not in due and tag in there}
        return [(board, run) for board, run in running if run.tag in due]

    def _find(self, running: Iterable[Running]) -> None:
        """Look for what was asked by id: an engine whose interpreter is stuck cannot tell."""
        signals = {}
        while self._asked:
            one = self._asked.popleft()
            if one.task_id:
                signals[one.task_id] = one.signal
        if signals:
            self.note({run.tag: signals[run.task_id] for run in running if run.task_id in signals})
