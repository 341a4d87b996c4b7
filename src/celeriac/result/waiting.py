"""Waiting for results: one id or some in this thread, or thousands in coroutines, which may not block."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from celeriac.forks import after_fork_in_child
from celeriac.interfaces.results import ResultBackend, ResultListener

if TYPE_CHECKING:
    from asyncio import Future

WAIT_SLICE: Final = 5.0
"""Seconds of waiting after which the store is looked at again, so that a lost wake-up costs no more than this."""


def wait_for(backend: ResultBackend, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
    """Wait until at least one of the ids has ended; return the payloads of those that have, by id.

    Empty after `timeout` seconds, and at once for no ids. Raises `BackendError` kin.
    """
    if not ids:
        return {}
    listener = backend.listen(ids)
    try:
        return listener.get(timeout=timeout)
    finally:
        listener.close()


class GroupWaiter:
    """Waits for all results that coroutines wait for, in one thread, and tells their event loops.

    The store is looked at again every `look_every` seconds, and the thread ends when nothing was waited for at two of
    these looks. Thread-safe; works across event loops. A forked child begins with nothing to wait for.
    """

    def __init__(self, backend: Callable[[], ResultBackend], *, look_every: float = WAIT_SLICE) -> None:
        self._backend = backend
        self._look_every = look_every
        self.forget_parent()
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        # Re-entrant, for a coroutine that nobody will resume discards its future wherever it is collected.
        self._guard_waiting = threading.RLock()
        self._waiting: dict[str, set[Future[bytes]]] = {}
        self._listener: ResultListener | None = None  # the thread's; None while there is none
        self._idle_looks = 0

    def add(self, task_id: str, future: Future[bytes]) -> None:
        """Have the payload of the task's end, or what the store raises, set on the future; `discard` it at last."""
        backend = self._backend()
        with self._guard_waiting:
            if self._listener is None:
                listener = backend.listen()
                threading.Thread(target=self._run, args=(listener,), name="celeriac-results", daemon=True).start()
                self._listener = listener
            self._waiting.setdefault(task_id, set()).add(future)
            self._listener.add([task_id])

    def discard(self, task_id: str, future: Future[bytes]) -> None:
        """Wait no more; no error for a future that has its answer."""
        with self._guard_waiting:
            futures = self._waiting.get(task_id, set())
            futures.discard(future)
            if not futures and self._waiting.pop(task_id, None) is not None and self._listener is not None:
                self._listener.discard([task_id])

    def _run(self, listener: ResultListener) -> None:
        with closing(listener):
            try:
                while self._goes_on(listener):
                    self._tell_until_next_look(listener)
            except Exception as error:  # noqa: BLE001  handed to every one who waits
                self._fail(error)

    def _goes_on(self, listener: ResultListener) -> bool:
        """Look for all that is waited for; False when there was nothing the last time either."""
        with self._guard_waiting:
            orphans = [
                (task_id, future)
                for task_id, futures in self._waiting.items()
                for future in futures
                if future.get_loop().is_closed()
            ]
            for task_id, future in orphans:
                self.discard(task_id, future)
            self._idle_looks = 0 if self._waiting else self._idle_looks + 1
            if self._idle_looks > 1:
                self._listener = None
                return False
            listener.add(self._waiting)
            return True

    def _tell_until_next_look(self, listener: ResultListener) -> None:
        end = time.monotonic() + self._look_every
        while (left := end - time.monotonic()) > 0:
            ready = listener.get(timeout=left)
            with self._guard_waiting:
                told = [(future, ready[task_id]) for task_id in ready for future in self._waiting.pop(task_id, ())]
                listener.discard(ready)
            for future, payload in told:
                _tell(future, payload)

    def _fail(self, error: Exception) -> None:
        with self._guard_waiting:
            waiting, self._waiting = self._waiting, {}
            self._listener = None
        for futures in waiting.values():
            for future in futures:
                _tell(future, error)


def _tell(future: Future[bytes], answer: bytes | Exception) -> None:
    with suppress(RuntimeError):  # the event loop was closed
        future.get_loop().call_soon_threadsafe(_settle, future, answer)


def _settle(future: Future[bytes], answer: bytes | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
