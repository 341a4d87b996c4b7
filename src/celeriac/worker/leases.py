"""Renewing the leases of everything that the node's engines hold."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker, Lease
from celeriac.types import Seconds

logger = logging.getLogger(__name__)

_CHUNK = 1000


class LeaseKeeper:
    """A thread that extends every held lease three times in its life.

    It runs in the supervisor, since a task in an engine can hold the interpreter's lock for longer than a lease. `held`
    gives what is held now, up to `note_delay` seconds late; `lost` is told of leases that ended all the same.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        lease: Seconds,
        held: Callable[[], Sequence[Lease]],
        lost: Callable[[Sequence[Lease]], None],
        note_delay: Seconds = 0.25,
    ) -> None:
        self._broker = broker
        self._lease = lease
        self._held = held
        self._lost = lost
        self._note_delay = note_delay
        self.last_done: Seconds = 0.0
        """When a round last succeeded, by `time.monotonic`; 0 before the first."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="celeriac-leases", daemon=True)

    def start(self) -> None:
        if self._broker.capabilities.leases:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def renew(self) -> None:
        """Extend what is held, once. Raises `BrokerError`."""
        leases = self._held()
        gone: list[Lease] = []
        for start in range(0, len(leases), _CHUNK):
            gone += self._broker.extend(leases[start : start + _CHUNK], lease=self._lease)
        if not gone:
            return
        # What was settled while the store was asked is not lost; its engine's note of that may still be on the way.
        self._stopped.wait(self._note_delay)
        still = {lease.tag for lease in self._held()}
        lost = [lease for lease in gone if lease.tag in still]
        if lost:
            self._lost(lost)

    def _run(self) -> None:
        interval = self._lease / 3
        pause = interval
        while not self._stopped.wait(pause):
            try:
                self.renew()
                self.last_done = time.monotonic()
                pause = interval
            except BrokerError as error:
                pause = min(1.0, interval)
                logger.warning("Leases could not be renewed; trying again in %.1f s: %s", pause, error)
