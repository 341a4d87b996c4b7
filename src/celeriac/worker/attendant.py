"""The helper thread of an engine: does what would otherwise wait while the main thread runs a task."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from celeriac.types import Seconds
from celeriac.worker.completion import Completer

logger = logging.getLogger(__name__)

_PATIENCE: Seconds = 0.005
"""Seconds that completions wait for others to go out with them, or for the main thread to do it."""


class Attendant:
    """Carries out completions that have waited long enough, and gives back what cannot start soon.

    It sleeps until there is something to watch. Each time it wakes it takes the interpreter from the task that runs,
    which costs that some 50 us.
    """

    def __init__(
        self, completer: Completer, *, give_back: Callable[[], bool], name: str = "celeriac-attendant"
    ) -> None:
        self._completer = completer
        self._give_back = give_back
        self._wanted = threading.Event()
        self._urgent = threading.Event()
        self._stopped = False
        self._patience = _PATIENCE
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is left to the caller."""
        self._stopped = True
        self._urgent.set()
        self._wanted.set()
        self._thread.join(timeout=5.0)

    def watch(self, patience: Seconds = _PATIENCE) -> None:
        """Look after what is there in so many seconds, and until nothing is left."""
        self._patience = patience
        if not self._wanted.is_set():
            self._wanted.set()

    def hurry(self) -> None:
        """Carry out what waits now; what comes meanwhile goes out together next."""
        self._urgent.set()
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.wait(timeout=60.0)
            self._wanted.clear()
            urgent = self._urgent.wait(self._patience)
            self._urgent.clear()
            try:
                more = self._attend(urgent=urgent)
            except Exception:
                # This thread must outlive any surprise: without it, results would wait for the next receive.
                more = True
                with contextlib.suppress(MemoryError):  # a task has it all
                    logger.exception("The attendant met an error and goes on")
            if more:
                self._wanted.set()

    def _attend(self, *, urgent: bool) -> bool:
        """Return True when there is still something to watch."""
        if self._completer.waiting and (urgent or self._completer.age >= self._patience):
            self._completer.flush()
        waits = self._give_back()
        return bool(self._completer.waiting) or waits
