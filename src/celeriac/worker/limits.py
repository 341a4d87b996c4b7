"""Soft time limits: `SoftTimeLimitExceeded` is raised inside a task that runs too long.

In the main thread an alarm does it. In other threads the interpreter raises it at their next step, which code stuck in
C never reaches. Coroutines are cancelled (`worker.run`).
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import signal
import threading
import time
from types import FrameType
from typing import Final, Protocol

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.types import Seconds

_FOREVER: Final[Seconds] = 3600.0


class SoftLimits(Protocol):
    """Arms and disarms the limit of the task that runs in the calling thread."""

    def arm(self, seconds: Seconds) -> None:
        """Raise `SoftTimeLimitExceeded` here in so many seconds."""

    def disarm(self) -> None:
        """Raise it no more. It may still have been raised just before."""


def soft_limits(*, in_main_thread: bool) -> SoftLimits:
    """Return what raises soft limits where tasks run: by alarm in the main thread, if that is where we are."""
    is_main = threading.current_thread() is threading.main_thread()
    return AlarmLimits() if in_main_thread and is_main and hasattr(signal, "SIGALRM") else ThreadLimits()


class AlarmLimits:
    """For the main thread, by SIGALRM. Make it in the main thread."""

    def __init__(self) -> None:
        self._armed = False
        signal.signal(signal.SIGALRM, self._on_alarm)

    def arm(self, seconds: Seconds) -> None:
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise SoftTimeLimitExceeded


class ThreadLimits:
    """For any thread, by one thread that watches the clock. It starts with the first limit."""

    def __init__(self) -> None:
        self._guard_armed = threading.Condition()
        self._armed: dict[int, int] = {}
        self._due: list[tuple[float, int, int]] = []
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None

    def arm(self, seconds: Seconds) -> None:
        me = threading.get_ident()
        with self._guard_armed:
            number = self._armed[me] = next(self._numbers)
            heapq.heappush(self._due, (time.monotonic() + seconds, number, me))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="celeriac-limits", daemon=True)
                self._thread.start()
            self._guard_armed.notify()

    def disarm(self) -> None:
        me = threading.get_ident()
        with self._guard_armed:
            self._armed.pop(me, None)
            # One that was raised and not delivered yet must not strike the next task.
            _raise_in(me, None)

    def _run(self) -> None:
        with self._guard_armed:
            while True:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    _, number, thread = heapq.heappop(self._due)
                    if self._armed.get(thread) == number:
                        _raise_in(thread, SoftTimeLimitExceeded)
                self._guard_armed.wait(self._due[0][0] - now if self._due else _FOREVER)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Make the interpreter raise `error` in a thread at its next step; None takes back one not raised yet."""
    exception = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
