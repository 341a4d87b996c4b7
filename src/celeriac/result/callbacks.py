"""Calling back when tasks have ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celeriac.result.gathering import Handle, by_reader, unread
from celeriac.wire.results import TaskResult

logger = logging.getLogger(__name__)


def call_back(
    handles: Sequence[Handle], callback: Callable[[], Any], on_error: Callable[[Exception], Any] | None
) -> None:
    """Call `callback` once all the handles know their ends: at once, in this thread, when they do already.

    Otherwise in the thread that waits for coroutines' results. `on_error` is called with what the callback raises, or
    with what keeps an end from being read; without one it is logged.
    """
    waiting = unread(handles)
    call = _Call(waiting, callback, on_error)
    if not waiting:
        call.make()
    for reader, of_one in by_reader(waiting):
        reader.call_back({handle.id for handle in of_one}, call.learn)


class _Call:
    """A call that is made once. Thread-safe: stores of several applications may each know some of the ends."""

    def __init__(
        self, handles: Sequence[Handle], callback: Callable[[], Any], on_error: Callable[[Exception], Any] | None
    ) -> None:
        self._callback = callback
        self._on_error = on_error
        self._guard_missing = threading.Lock()
        self._missing: dict[str, list[Handle]] = {}
        for handle in handles:
            self._missing.setdefault(handle.id, []).append(handle)

    def learn(self, task_id: str, end: TaskResult | Exception) -> None:
        """Pass on how a task has ended, and make the call when it was the last; an error makes it fail."""
        with self._guard_missing:
            handles = self._missing.pop(task_id, None)
            if isinstance(end, Exception):
                self._missing.clear()
            else:
                for handle in handles or ():
                    handle.keep(end)
            is_last = not self._missing
        if handles is None:  # it has failed before
            return
        if isinstance(end, Exception):
            self._fail(end)
        elif is_last:
            self.make()

    def make(self) -> None:
        try:
            self._callback()
        except Exception as error:  # noqa: BLE001  handed to who asked for it, or logged
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._on_error is None:
            logger.error("Calling back at the end of tasks failed: %r", error, exc_info=error)
        else:
            self._on_error(error)
