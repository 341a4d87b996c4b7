"""Synchronous tasks in a pool of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from celeriac.interfaces.executor import TimeLeft
from celeriac.types import Seconds

J = TypeVar("J")

_ASK_AGAIN: Final[Seconds] = 0.1


class ThreadExecutor(Generic[J]):
    """As many slots as threads. `freed` is called, from the slot's thread, after each job.

    `run` must not raise. What it raises all the same, without memory for instance, comes out of `free`: the job has no
    end then, and the engine that asks must have one, so that its supervisor settles for the job.
    """

    def __init__(self, run: Callable[[J], None], *, slots: int, freed: Callable[[], None]) -> None:
        self._run = run
        self._slots = slots
        self._freed = freed
        self._jobs: SimpleQueue[J | None] = SimpleQueue()
        self._guard_running = threading.Condition()
        self._running: dict[int, float] = {}
        self._taken = 0
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def free(self) -> int:
        if self._failure is not None:
            raise self._failure
        return self._slots - self._taken

    @property
    def busy(self) -> int:
        return self._taken

    @property
    def longest(self) -> Seconds:
        """How long the job that started first has been running; 0 when none runs."""
        with self._guard_running:
            return time.monotonic() - min(self._running.values()) if self._running else 0.0

    def start(self) -> None:
        for number in range(self._slots):
            thread = threading.Thread(target=self._work, name=f"celeriac-slot-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, job: J) -> None:
        with self._guard_running:
            self._taken += 1
        self._jobs.put(job)

    def stop(self, time_left: TimeLeft) -> bool:
        with self._guard_running:
            while self._taken:
                left = time_left()
                if left is not None and left <= 0:
                    return False
                self._guard_running.wait(_ASK_AGAIN if left is None else min(left, _ASK_AGAIN))
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0)
        return True

    def _work(self) -> None:
        me = threading.get_ident()
        while (job := self._jobs.get()) is not None:
            with self._guard_running:
                self._running[me] = time.monotonic()
            try:
                self._run(job)
            except BaseException as error:  # noqa: BLE001  told where somebody can do something about it
                self._failure = error
            finally:
                with self._guard_running:
                    del self._running[me]
                    self._taken -= 1
                    self._guard_running.notify_all()
                self._freed()
