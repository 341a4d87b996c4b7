"""The end of a node that runs tasks in its own process: nobody else could end it when a task does not."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker
from celeriac.types import Seconds
from celeriac.worker.holdings import Holdings

logger = logging.getLogger(__name__)


class LastResort:
    """Gives back what this process holds and ends it, unless `stand_down` is called in time. Thread-safe.

    `exit_code` is asked when it comes to that.
    """

    def __init__(self, broker: Broker, holdings: Holdings, *, exit_code: Callable[[], int]) -> None:
        self._broker = broker
        self._holdings = holdings
        self._exit_code = exit_code
        self._stood_down = threading.Event()

    def end_after(self, seconds: Seconds) -> None:
        """End the process in so many seconds; the earliest of several calls counts."""
        timer = threading.Thread(target=self._wait, args=(seconds,), name="celeriac-last-resort", daemon=True)
        timer.start()

    def stand_down(self) -> None:
        """Let the process end by itself."""
        self._stood_down.set()

    def _wait(self, seconds: Seconds) -> None:
        if self._stood_down.wait(seconds):
            return
        leases = self._holdings.take_all()
        logger.warning("A task still runs; it is ended with this process, and %s tasks are given back", len(leases))
        try:
            if leases:
                self._broker.requeue(leases)
        except BrokerError as error:
            logger.error("%s tasks run again only when their leases end: %s", len(leases), error)
        finally:
            os._exit(self._exit_code())
