"""Renewing the leases of everything that the node's engines hold."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from celeriac.clock import Clock
from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker, Lease
from celeriac.types import Seconds
from celeriac.worker.holdings import Holdings
from celeriac.worker.renewals import Renewals

logger = logging.getLogger(__name__)

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Holder:
    """An engine: what it holds, as its node knows, and where it reads when that was renewed."""

    holdings: Holdings
    renewals: Renewals


class LeaseKeeper:
    """A thread that extends every held lease three times in its life.

    It runs in the supervisor, since a task in an engine can hold the interpreter's lock for longer than a lease. What
    the `holders` hold is known up to `note_delay` seconds late; `lost` is told of leases that ended all the same.
    """

    def __init__(  # noqa: PLR0913  what it renews, and whom it tells
        self,
        broker: Broker,
        *,
        lease: Seconds,
        holders: Sequence[Holder],
        lost: Callable[[Sequence[Lease]], None],
        clock: Clock,
        note_delay: Seconds = 0.25,
    ) -> None:
        self._broker = broker
        self._lease = lease
        self._holders = holders
        self._lost = lost
        self._clock = clock
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
        moment = self._clock.boottime()  # before the store is asked, so that no lease ends sooner than is thought
        known = [holder.holdings.notes for holder in self._holders]  # before what was noted is read: all of it is there
        leases = self._held()
        gone: list[Lease] = []
        for start in range(0, len(leases), _CHUNK):
            gone += self._broker.extend(leases[start : start + _CHUNK], lease=self._lease)
        lost = self._still_held(gone) if gone else ()
        if lost:
            self._distrust({lease.tag for lease in lost})
        for holder, notes in zip(self._holders, known, strict=True):
            holder.renewals.renewed(moment, through=notes)
        if lost:
            self._lost(lost)

    def _held(self) -> list[Lease]:
        return [lease for holder in self._holders for lease in holder.holdings.all()]

    def _still_held(self, gone: Sequence[Lease]) -> Sequence[Lease]:
        """Return those that are lost; what was settled while the store was asked is not.

        An engine's note of that may still be on the way.
        """
        self._stopped.wait(self._note_delay)
        still = {lease.tag for lease in self._held()}
        return [lease for lease in gone if lease.tag in still]

    def _distrust(self, tags: Collection[str]) -> None:
        """Let engines make sure themselves of what they claimed up to now, if one of these is theirs."""
        for holder in self._holders:
            if any(lease.tag in tags for lease in holder.holdings.all()):
                holder.renewals.lost(through=holder.holdings.notes)

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
