"""Group commit: sends that are made at the same time share a round trip."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from celeriac.exceptions import SendIncomplete
from celeriac.interfaces.broker import Outgoing

_IDLE: Final = 5.0
"""Seconds after which the sending thread ends when nothing came."""
_MOST: Final = 500
"""Messages in one round trip."""


class GroupCommit:
    """One thread that sends what has gathered while its last batch was under way. Thread-safe."""

    def __init__(self, send: Callable[[Sequence[Outgoing]], None]) -> None:
        self._send = send
        self._guard_pending = threading.Condition()
        self._pending: list[tuple[Outgoing, Future[None]]] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, outgoing: Outgoing) -> Future[None]:
        """Return a future that is done when the broker has the message; it carries the error otherwise."""
        future: Future[None] = Future()
        with self._guard_pending:
            self._pending.append((outgoing, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="celeriac-group-commit", daemon=True)
                self._thread.start()
            self._guard_pending.notify()
        return future

    def close(self) -> None:
        """Send what is pending, then end the thread."""
        with self._guard_pending:
            self._closed = True
            thread = self._thread
            self._guard_pending.notify()
        if thread is not None:
            thread.join(timeout=_IDLE)

    def _run(self) -> None:
        while batch := self._take():
            futures = [future for _, future in batch if not future.cancelled()]
            try:
                self._send([outgoing for outgoing, future in batch if not future.cancelled()])
            except SendIncomplete as error:
                _settle(futures, error, failed=frozenset(error.unsent))
            except Exception as error:  # noqa: BLE001  handed to every one who waits
                _settle(futures, error, failed=frozenset(range(len(futures))))
            else:
                _settle(futures, None, failed=frozenset())

    def _take(self) -> list[tuple[Outgoing, Future[None]]]:
        with self._guard_pending:
            if not self._pending and not self._closed:
                self._guard_pending.wait(_IDLE)
            batch, self._pending = self._pending[:_MOST], self._pending[_MOST:]
            if not batch:
                self._thread = None
            return batch


def _settle(futures: Sequence[Future[None]], error: Exception | None, *, failed: frozenset[int]) -> None:
    for position, future in enumerate(futures):
        if not future.set_running_or_notify_cancel():
            continue
        if error is not None and position in failed:
            future.set_exception(error)
        else:
            future.set_result(None)
