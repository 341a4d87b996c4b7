"""``async def`` tasks on an event loop in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from celeriac.interfaces.executor import TimeLeft
from celeriac.types import Seconds

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

J = TypeVar("J")

_ASK_AGAIN: Seconds = 0.1
_CANCEL_WAIT: Seconds = 5.0
"""Seconds that cancelled coroutines get for their `finally` blocks."""


class CoroutineExecutor(Generic[J]):
    """Slots for coroutines. The loop starts with the first job: engines without ``async def`` tasks pay nothing.

    `run` must not raise. After each job `following` is asked, in the loop's thread, for another to take its slot, which
    starts without another thread being woken; when it has none, `freed` is called. A job whose task somebody cancels
    before it has begun goes to `forgone`: other tasks may do that to all tasks of the loop.
    """

    def __init__(
        self,
        run: Callable[[J], Coroutine[Any, Any, None]],
        *,
        slots: int,
        freed: Callable[[], None],
        following: Callable[[], J | None] = lambda: None,
        forgone: Callable[[J], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._slots = slots
        self._freed = freed
        self._following = following
        self._forgone = forgone
        self._running: dict[asyncio.Task[None], J] = {}  # the loop's alone
        self._guard_taken = threading.Lock()
        self._taken = 0
        self._emptied = threading.Event()
        self._submitted: deque[J] = deque()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def free(self) -> int:
        return self._slots - self._taken

    @property
    def busy(self) -> int:
        return self._taken

    def start(self) -> None:
        """Nothing to make ready before the first job."""

    def submit(self, job: J) -> None:
        with self._guard_taken:
            self._taken += 1
            loop = self._running_loop()
        # One wake-up serves every job that is submitted before the loop gets round to them. Appending before looking
        # at the length is what makes this safe: a loop that found nothing left a length of 1 for this job.
        self._submitted.append(job)
        if len(self._submitted) == 1:
            loop.call_soon_threadsafe(self._begin, loop)

    def stop(self, time_left: TimeLeft) -> bool:
        loop = self._loop
        if loop is None:
            return True
        ended = self._wait(time_left)
        if not ended:
            loop.call_soon_threadsafe(self._cancel)
            ends = time.monotonic() + _CANCEL_WAIT
            ended = self._wait(lambda: ends - time.monotonic())
        self._closing = True
        loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join(timeout=_CANCEL_WAIT)
        self._loop = None
        return ended

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            from celeriac.worker.executors.loops import new_loop  # noqa: PLC0415  ADR 0004

            self._loop = new_loop()
            self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="celeriac-loop", daemon=True)
            self._thread.start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio  # noqa: PLC0415  ADR 0004

        asyncio.set_event_loop(loop)
        try:
            while not self._closing:
                self._serve_on(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _serve_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop until somebody stops it; a task may, by sys.exit() in a child of its own or by loop.stop()."""
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: BLE001  asyncio lets SystemExit and KeyboardInterrupt out of the loop
            logger.error("A task raised %s out of the event loop, which goes on", type(error).__name__)
        else:
            if not self._closing:
                logger.error("A task stopped the event loop, which goes on")

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._submitted:
            self._begin_one(loop, self._submitted.popleft())

    def _begin_one(self, loop: asyncio.AbstractEventLoop, job: J) -> None:
        task = loop.create_task(self._run(job))
        self._running[task] = job
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        ended = self._running.pop(task)
        if task.cancelled():  # what has begun ends by itself
            self._forgone(ended)
        job = self._following()
        if job is not None:
            self._begin_one(task.get_loop(), job)
            return
        with self._guard_taken:
            self._taken -= 1
            is_empty = not self._taken
        if is_empty:
            self._emptied.set()
        self._freed()

    def _cancel(self) -> None:
        for task in list(self._running):
            task.cancel()

    def _wait(self, time_left: TimeLeft) -> bool:
        while self._taken:
            left = time_left()
            if left is not None and left <= 0:
                return False
            self._emptied.wait(_ASK_AGAIN if left is None else min(left, _ASK_AGAIN))
            self._emptied.clear()
        return True
