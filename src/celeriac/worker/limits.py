"""`SoftTimeLimitExceeded` is raised inside a task that runs too long, `Terminated` inside one that is revoked.

In the main thread an alarm does it. In other threads the interpreter raises it at their next step, which code stuck in
C never reaches. Coroutines are cancelled, at their hard limit too.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import signal
import threading
import time
from collections.abc import Awaitable
from types import FrameType
from typing import Any, Final, Protocol

from celeriac.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded
from celeriac.interfaces.executor import TimeLeft
from celeriac.types import Seconds

_FOREVER: Final[Seconds] = 3600.0
_LONGEST: Final[Seconds] = 1e9
"""The longest limit that is set; timers do not count much further."""
_EARLY: Final[Seconds] = 0.01
"""What a timer may be early by the clock that is read."""
_MOST_DONE: Final = 1000
_SWEEP: Final[Seconds] = 0.5
"""Seconds until an exception that was raised in this very thread, and has not come, is taken for lost."""


class SoftLimits(Protocol):
    """Arms and disarms what is raised in the task that runs in the calling thread."""

    def arm(self, seconds: Seconds | None, tag: str = "") -> None:
        """Raise `SoftTimeLimitExceeded` here in so many seconds, and `Terminated` when `end` names the tag."""

    def disarm(self) -> None:
        """Raise nothing more. It may still have been raised just before."""

    def end(self, tag: str) -> None:
        """Raise `Terminated` where a task runs that was armed with this tag, if one does. From any thread."""


def soft_limits(*, in_main_thread: bool) -> SoftLimits:
    """Return what raises soft limits where tasks run: by alarm in the main thread, if that is where we are."""
    is_main = threading.current_thread() is threading.main_thread()
    return AlarmLimits() if in_main_thread and is_main and hasattr(signal, "SIGALRM") else ThreadLimits()


class AlarmLimits:
    """For the main thread, by SIGALRM. Make it in the main thread."""

    def __init__(self) -> None:
        self._armed: str | None = None
        self._due: Seconds | None = None
        self._ending: str | None = None
        self._thread = threading.get_ident()
        signal.signal(signal.SIGALRM, self._on_alarm)  # also for an alarm that a task without a limit leaves behind

    def arm(self, seconds: Seconds | None, tag: str = "") -> None:
        if seconds is not None:
            self._due = time.monotonic() + min(seconds, _LONGEST)
            signal.signal(signal.SIGALRM, self._on_alarm)  # a task before this one may have left a handler of its own
            signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST))
        self._armed = tag

    def disarm(self) -> None:
        self._armed = None
        if self._due is not None:
            self._due = None
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def end(self, tag: str) -> None:
        self._ending = tag
        is_ours = signal.getsignal(signal.SIGALRM) == self._on_alarm  # another's may be deadly
        if self._armed == tag and is_ours:
            signal.pthread_kill(self._thread, signal.SIGALRM)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        armed, ending, due = self._armed, self._ending, self._due
        if armed is None:
            return
        if armed == ending:
            self._armed = self._ending = None
            raise Terminated
        if due is not None and time.monotonic() >= due - _EARLY:
            self._armed = None
            raise SoftTimeLimitExceeded


class ThreadLimits:
    """For any thread, by one thread that watches the clock. It starts with the first limit."""

    def __init__(self) -> None:
        # Taken as it is, and not by the condition, whose methods are in Python: what strikes a task in one of them
        # would leave the lock taken for good.
        self._guard_armed = threading.RLock()
        self._changed = threading.Condition(self._guard_armed)
        self._armed: dict[int, int] = {}
        self._tags: dict[int, str] = {}
        self._struck: set[int] = set()
        self._due: list[tuple[float, int, int]] = []
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None

    def arm(self, seconds: Seconds | None, tag: str = "") -> None:
        me = threading.get_ident()
        with self._guard_armed:
            self._tags[me] = tag
            if seconds is None:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="celeriac-limits", daemon=True)
                thread.start()
                self._thread = thread
            number = self._armed[me] = next(self._numbers)
            if len(self._due) > _MOST_DONE + 2 * len(self._armed):  # most are of tasks that have ended long ago
                self._due = [due for due in self._due if self._armed.get(due[2]) == due[1]]
                heapq.heapify(self._due)
            heapq.heappush(self._due, (time.monotonic() + min(seconds, _LONGEST), number, me))
            self._changed.notify()

    def disarm(self) -> None:
        me = threading.get_ident()
        with self._guard_armed:
            self._armed.pop(me, None)
            self._tags.pop(me, None)
            was_struck = me in self._struck
            self._struck.discard(me)
        if was_struck:
            _sweep(me)

    def end(self, tag: str) -> None:
        with self._guard_armed:
            for thread, armed in self._tags.items():
                if armed == tag:
                    self._armed.pop(thread, None)  # its limit would take the place of what is on its way
                    self._struck.add(thread)
                    _raise_in(thread, Terminated)

    def _run(self) -> None:
        with self._guard_armed:
            while True:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    _, number, thread = heapq.heappop(self._due)
                    if self._armed.get(thread) == number:
                        self._struck.add(thread)
                        _raise_in(thread, SoftTimeLimitExceeded)
                self._changed.wait(self._due[0][0] - now if self._due else _FOREVER)


class _Swept(BaseException):
    """Takes the place of an exception that is still on its way."""


def _sweep(me: int) -> None:
    """See to it that no limit that was raised in this thread, and not delivered yet, strikes its next task.

    It cannot be taken back by None: the interpreter would then believe for good that something is on its way, and
    Python 3.11 would never again get into a function that is profiled or traced. It comes at once, unless it was
    swallowed (in a finaliser), or the interpreter raised it elsewhere: in a thread that could not start another, Python
    3.11 does so.
    """
    try:
        _raise_in(me, _Swept)
        ends = time.monotonic() + _SWEEP
        while time.monotonic() < ends:
            time.sleep(0)
    except _Swept:
        return


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Make the interpreter raise `error` in a thread at its next step, in place of another that is on its way."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


async def limited(call: Awaitable[Any], *, soft: Seconds | None, hard: Seconds | None) -> Any:
    """Await a coroutine within its limits: it is cancelled at the soft one, and again at the hard one."""
    import asyncio  # noqa: PLC0415  ADR 0004

    outer, inner = asyncio.timeout(hard), asyncio.timeout(soft)
    try:
        async with outer, inner:
            return await call
    except TimeoutError as error:
        if outer.expired():
            raise TimeLimitExceeded(f"The task ran longer than its time limit of {hard:g} s") from error
        if inner.expired():
            raise SoftTimeLimitExceeded from error
        raise


def is_cancelled(error: BaseException, time_left: TimeLeft) -> bool:
    """Tell whether the engine has cancelled the running coroutine to stop, rather than code of the user's."""
    import asyncio  # noqa: PLC0415  ADR 0004

    task, left = asyncio.current_task(), time_left()
    is_over = left is not None and left <= 0
    return is_over and isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
