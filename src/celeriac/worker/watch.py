"""Noticing messages of producers that wake nobody: stock Celery's, on stores where only our own producers ring."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from celeriac.exceptions import OperationalError
from celeriac.interfaces.broker import Broker
from celeriac.types import Seconds

logger = logging.getLogger(__name__)

_SLICE: Seconds = 5.0
_PAUSE: Seconds = 1.0


class WatchLoop:
    """One thread per node that watches for all its engines. It does not start where the store needs none.

    `on_delayed` is called again and again while messages are delayed and something changes, see `Broker.watch`.
    """

    def __init__(self, broker: Broker, *, queues: Sequence[str], on_delayed: Callable[[], None]) -> None:
        self._broker = broker
        self._queues = queues
        self._on_delayed = on_delayed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="celeriac-watch", daemon=True)

    def start(self) -> None:
        if self._broker.capabilities.needs_watch:
            self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end. It is not waited for: it sits in a wait of up to 5 s, and holds nothing."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._broker.watch(self._queues, wait=_SLICE):
                    self._on_delayed()
            except OperationalError as error:
                logger.debug("Watching failed; trying again: %s", error)
                self._stopped.wait(_PAUSE)
