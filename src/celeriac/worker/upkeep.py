"""Letting due messages become ready, and taking back what dead holders left."""

from __future__ import annotations

import logging
import threading
import time

from celeriac.clock import Clock
from celeriac.exceptions import OperationalError
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.results import ResultBackend
from celeriac.types import Seconds
from celeriac.worker.chords import ChordEnds

logger = logging.getLogger(__name__)

_INTERVAL: Seconds = 0.5
_UNTOLD: Seconds = 0.1
"""Between rounds on a store where nobody tells that something is delayed: the most that a short delay is late."""
_QUIET: Seconds = 8.0
"""Between rounds while nothing is delayed or held, where the node's `WatchLoop` notices that something is."""
_SHORTEST: Seconds = 0.005
_SWEEP: Seconds = 60.0
_CHORDS: Seconds = 5.0
"""Between two looks for chords that are overdue."""
_LIMIT = 1000


class UpkeepLoop:
    """A thread that does the store's upkeep ten times a second, and at the moment when the next thing is due.

    On a store that is watched it looks twice a second, and less often while there is nothing to do, until `hurry` is
    called.
    """

    def __init__(
        self, broker: Broker, results: ResultBackend | None, *, clock: Clock, chords: ChordEnds | None = None
    ) -> None:
        self._broker = broker
        self._results = results
        self._chords = chords
        self._clock = clock
        self.last_done: Seconds = 0.0
        """When a round last succeeded, by `time.monotonic`; 0 before the first."""
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        is_watched = broker.capabilities.needs_watch
        self._quiet, self._interval = (_QUIET, _INTERVAL) if is_watched else (_UNTOLD, _UNTOLD)
        self._next_sweep = clock.monotonic() + _SWEEP
        self._next_chords = 0.0
        self._knows_of_delayed = False
        self._thread = threading.Thread(target=self._run, name="celeriac-upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def hurry(self) -> None:
        """Do a round now, unless the last one left delayed messages: the next is soon, then. Thread-safe."""
        if not self._knows_of_delayed:
            self._wanted.set()

    def round(self) -> Seconds:
        """Do one round; return the seconds until the next. Raises `OperationalError` kin."""
        self._knows_of_delayed = False  # what is delayed from now on may be unknown to this round
        done = self._broker.upkeep(limit=_LIMIT)
        self._knows_of_delayed = done.leaves_delayed
        if done.reclaimed:
            logger.warning("%s deliveries came back from holders whose lease ended", done.reclaimed)
        if self._results is not None and self._clock.monotonic() >= self._next_sweep:
            self._results.sweep(limit=_LIMIT)
            self._next_sweep = self._clock.monotonic() + _SWEEP
        if self._chords is not None and self._clock.monotonic() >= self._next_chords:
            self._next_chords = self._clock.monotonic() + _CHORDS
            self._chords.sweep()
        if max(done.promoted, done.reclaimed) >= _LIMIT:
            return _SHORTEST
        if done.next_due is None:
            return self._quiet
        return min(self._interval, max(_SHORTEST, done.next_due - self._clock.now()))

    def _run(self) -> None:
        pause = 0.0
        failing = False
        while not self._stopped.is_set():
            self._wanted.wait(pause)
            self._wanted.clear()
            try:
                pause = self.round()
                self.last_done = time.monotonic()
                failing = False
            except OperationalError as error:
                pause = 1.0
                if not failing:
                    logger.warning("Upkeep failed; trying again each second: %s", error)
                failing = True
