"""Waiting for many results on few threads, for callers that may not block: coroutines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from celeriac.forks import after_fork_in_child
from celeriac.interfaces.results import ResultBackend

_MOST_THREADS: Final = 4
_SLICE: Final = 1.0
"""Seconds that one wait on the store lasts before ids that came meanwhile are taken in."""


class GroupWaiter:
    """Collects ids that somebody waits for and asks the store for all of them at once.

    A thread takes every id that nobody waits for yet; ids that come while it is blocked go to another thread, up to
    four. Threads end when nothing is waited for. Thread-safe; works across event loops. A forked child begins with
    nothing to wait for.
    """

    def __init__(self, backend: Callable[[], ResultBackend]) -> None:
        self._backend = backend
        self.forget_parent()
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        self._guard_waiting = threading.Lock()
        self._new: dict[str, list[Future[bytes]]] = {}
        self._threads = 0

    def add(self, task_id: str) -> Future[bytes]:
        """Return a future of the payload of the task's end. Cancel it to stop waiting."""
        future: Future[bytes] = Future()
        with self._guard_waiting:
            self._new.setdefault(task_id, []).append(future)
            start = self._threads < _MOST_THREADS
            if start:
                self._threads += 1
        if start:
            threading.Thread(target=self._run, name="celeriac-results", daemon=True).start()
        return future

    def _run(self) -> None:
        while waiting := self._take():
            try:
                ready = self._backend().wait(list(waiting), timeout=_SLICE)
            except Exception as error:  # noqa: BLE001  handed to every one who waits
                _fail(waiting, error)
                continue
            for task_id, payload in ready.items():
                _resolve(waiting.pop(task_id, []), payload)
            self._put_back(waiting)

    def _take(self) -> dict[str, list[Future[bytes]]]:
        with self._guard_waiting:
            waiting, self._new = self._new, {}
            if not waiting:
                self._threads -= 1
            return waiting

    def _put_back(self, waiting: dict[str, list[Future[bytes]]]) -> None:
        with self._guard_waiting:
            for task_id, futures in waiting.items():
                if alive := [future for future in futures if not future.done()]:
                    self._new.setdefault(task_id, []).extend(alive)


def _resolve(futures: list[Future[bytes]], payload: bytes) -> None:
    for future in futures:
        if future.set_running_or_notify_cancel():
            future.set_result(payload)


def _fail(waiting: dict[str, list[Future[bytes]]], error: Exception) -> None:
    for futures in waiting.values():
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
