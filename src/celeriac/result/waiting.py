"""Waiting for results: one id or some in this thread, or thousands in coroutines, which may not block."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from celeriac.forks import after_fork_in_child
from celeriac.interfaces.results import ResultBackend, ResultListener

if TYPE_CHECKING:
    from asyncio import Future

logger = logging.getLogger(__name__)

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
    """Waits in one thread for all results that coroutines and callbacks wait for, and tells them.

    The store is looked at again every `look_every` seconds, and the thread ends when nothing was waited for at two of
    these looks. Thread-safe; works across event loops. A forked child begins with nothing to wait for: its parent calls
    back.
    """

    def __init__(self, backend: Callable[[], ResultBackend], *, look_every: float = WAIT_SLICE) -> None:
        self._backend = backend
        self._look_every = look_every
        self.forget_parent()
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        # Re-entrant, for a coroutine that nobody will resume discards its future wherever it is collected.
        self._guard_waiting = threading.RLock()
        self._waiting: dict[str, set[_Waiting]] = {}
        self._listener: ResultListener | None = None  # the thread's; None while there is none
        self._idle_looks = 0

    def add(self, task_id: str, future: Future[bytes]) -> None:
        """Have the payload of the task's end, or what the store raises, set on the future; `discard` it at last."""
        self._add([task_id], _Coroutine(future))

    def call(self, task_ids: Collection[str], tell: Callable[[str, bytes | Exception], None]) -> None:
        """Have `tell` called with each id and the payload of its end, or what the store raises, in the waiting thread.

        It holds up all others who wait, so it must be brief. What it raises is logged.
        """
        self._add(task_ids, _Callback(tell))

    def _add(self, task_ids: Collection[str], one: _Waiting) -> None:
        backend = self._backend()
        with self._guard_waiting:
            if self._listener is None:
                listener = backend.listen()
                threading.Thread(target=self._run, args=(listener,), name="celeriac-results", daemon=True).start()
                self._listener = listener
            for task_id in task_ids:
                self._waiting.setdefault(task_id, set()).add(one)
            self._listener.add(task_ids)

    def discard(self, task_id: str, future: Future[bytes]) -> None:
        """Wait no more; no error for a future that has its answer."""
        self._discard(task_id, _Coroutine(future))

    def _discard(self, task_id: str, one: _Waiting) -> None:
        with self._guard_waiting:
            others = self._waiting.get(task_id, set())
            others.discard(one)
            if not others and self._waiting.pop(task_id, None) is not None and self._listener is not None:
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
            orphans = [(task_id, one) for task_id, ones in self._waiting.items() for one in ones if one.is_gone()]
            for task_id, one in orphans:
                self._discard(task_id, one)
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
                told = [(one, task_id) for task_id in ready for one in self._waiting.pop(task_id, ())]
                listener.discard(ready)
            for one, task_id in told:
                one.tell(task_id, ready[task_id])

    def _fail(self, error: Exception) -> None:
        with self._guard_waiting:
            waiting, self._waiting = self._waiting, {}
            self._listener = None
        for task_id, ones in waiting.items():
            for one in ones:
                one.tell(task_id, error)


class _Waiting(Protocol):
    """One who waits for tasks."""

    def is_gone(self) -> bool:
        """Tell whether nobody is there to be told."""

    def tell(self, task_id: str, answer: bytes | Exception) -> None:
        """Hand over the payload of the task's end, or the error that there was. Raises nothing."""

    def __hash__(self) -> int: ...


class _Coroutine(Struct, frozen=True):
    """A future in an event loop."""

    future: Future[bytes]

    def is_gone(self) -> bool:
        return self.future.get_loop().is_closed()

    def tell(self, task_id: str, answer: bytes | Exception) -> None:  # noqa: ARG002  a future waits for one task
        with suppress(RuntimeError):  # the event loop was closed
            self.future.get_loop().call_soon_threadsafe(_settle, self.future, answer)


class _Callback(Struct, frozen=True):
    """A function."""

    call: Callable[[str, bytes | Exception], None]

    def is_gone(self) -> bool:
        return False

    def tell(self, task_id: str, answer: bytes | Exception) -> None:
        try:
            self.call(task_id, answer)
        except BaseException:
            # SystemExit too: it would end the thread, and with it the waiting of all others.
            logger.exception("A callback on the end of task %s failed", task_id)


def _settle(future: Future[bytes], answer: bytes | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
