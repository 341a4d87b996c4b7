"""Taking deliveries from the broker, and coming back when it was away."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from celeriac.clock import Clock
from celeriac.exceptions import BrokerError, OperationalError
from celeriac.interfaces.broker import Broker, Delivery, Terms
from celeriac.types import Seconds
from celeriac.worker.ledger import Ledger
from celeriac.worker.pulse import Pulse
from celeriac.worker.renewals import Claim
from celeriac.worker.revoked import Revoked
from celeriac.worker.riding import Acks

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Seconds = 0.1
_LONGEST_PAUSE: Seconds = 2.0


class Consumer:
    """Receives for one engine. The queues take turns at being first, so that none starves another.

    Used by the engine's main thread; `wake` may be called from any.
    """

    def __init__(  # noqa: PLR0913  all from different parts of the engine
        self,
        broker: Broker,
        ledger: Ledger,
        *,
        queues: Sequence[str],
        lease: Seconds,
        owner: str,
        clock: Clock,
        revoked: Revoked,
        pulse: Pulse | None = None,
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._queues = list(queues)
        self._lease = lease
        self._owner = owner
        self._pulse = pulse or Pulse()
        self._revoked = revoked
        self._pause = 0.0
        self._boottime = clock.boottime
        self._woken = threading.Event()
        self.claim = Claim(0.0, 0)
        """The claim of the last `take` that returned something."""

    def take(self, *, limit: int, wait: Seconds, freely: int = sys.maxsize) -> Sequence[Delivery]:
        """Return up to `limit` deliveries, waiting up to `wait` seconds for the first; empty while the broker is away.

        Of those beyond `freely` others get their share (see `Terms`). The ledger knows of each before it is returned.
        """
        began = self._begun()
        terms = Terms(limit, self._lease, self._owner, freely)
        try:
            deliveries = self._broker.receive(self._queues, terms, wait=wait)
        except BrokerError as error:
            return self._rest(error)
        return self._taken(deliveries, began)

    def take_and_ack(self, acks: Acks, *, limit: int, freely: int) -> Sequence[Delivery]:
        """Acknowledge, and return up to `limit` deliveries that are there now, in one trip. Otherwise as `take`."""
        began = self._begun()
        terms = Terms(limit, self._lease, self._owner, freely, waits=True)
        try:
            deliveries = acks.ride(self._broker, self._queues, terms)
        except BrokerError as error:
            return self._rest(error)
        return self._taken(deliveries, began)

    def _begun(self) -> Seconds:
        """Note that a receive begins; return the moment, by the clock of leases."""
        self._pulse.asking()
        return self._boottime()

    def _taken(self, deliveries: Sequence[Delivery], began: Seconds) -> Sequence[Delivery]:
        self._pulse.received()
        if self._pause:
            logger.info("Connected again to %s", self._broker.location)
            self._pause = 0.0
        if not deliveries or (self._revoked.is_behind and not self._catch_up(deliveries)):
            return ()
        number = self._ledger.held([delivery.lease for delivery in deliveries])
        # From when it was asked for, although it may have come only at the end of the wait: who is stopped between
        # the store's answer and its arrival here cannot know how long ago that was.
        self.claim = Claim(began, number)
        if len(self._queues) > 1:
            self._queues.append(self._queues.pop(0))
        return deliveries

    def _catch_up(self, deliveries: Sequence[Delivery]) -> bool:
        """Learn what was revoked before these were taken. Where that fails they are given back, for any may be."""
        try:
            self._revoked.catch_up()
        except OperationalError as error:
            logger.error("%s messages are given back: which are revoked cannot be read: %s", len(deliveries), error)
            with suppress(BrokerError):  # then they come back when their leases end
                self._broker.requeue([delivery.lease for delivery in deliveries], delay=_LONGEST_PAUSE)
            return False
        return True

    def wake(self) -> None:
        """Make a `take` that waits return at once."""
        self._woken.set()
        self._broker.interrupt()

    def _rest(self, error: BrokerError) -> Sequence[Delivery]:
        """Wait before the next try: longer each time, with jitter so that a fleet does not come back all at once."""
        if not self._pause:
            logger.error("Cannot receive from %s; trying again until it is back: %s", self._broker.location, error)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        self._woken.wait(self._pause * random.uniform(0.5, 1.0))
        self._woken.clear()
        return ()
