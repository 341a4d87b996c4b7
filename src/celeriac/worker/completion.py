"""Completing deliveries in batches: store the results, send what follows, then acknowledge."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence

from celeriac.clock import Clock
from celeriac.exceptions import OperationalError
from celeriac.interfaces.broker import Broker, Lease
from celeriac.result.writer import ResultWriter
from celeriac.types import Seconds
from celeriac.worker.notes import Ledger
from celeriac.worker.outcome import Completion, Settle

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Seconds = 0.1
_LONGEST_PAUSE: Seconds = 5.0


class Completer:
    """Gathers completions and carries them out, many at once. Thread-safe.

    A crash between two of the three steps repeats the later ones, and each is idempotent. A batch that fails is kept
    and tried again: nothing is lost while the store is away, and the leases go on being renewed meanwhile.
    """

    def __init__(self, broker: Broker, writer: ResultWriter, ledger: Ledger, *, clock: Clock) -> None:
        self._broker = broker
        self._writer = writer
        self._ledger = ledger
        self._clock = clock
        self._guard_waiting = threading.Condition()
        self._waiting: list[Completion] = []
        self._since = 0.0
        self._under_way = 0
        self._pause = 0.0
        self._not_before = 0.0
        self._lost: set[str] = set()

    def add(self, completion: Completion) -> int:
        """Take a completion in; return how many are waiting now."""
        with self._guard_waiting:
            if self._lost and completion.lease is not None and completion.lease.tag in self._lost:
                self._lost.discard(completion.lease.tag)
                return len(self._waiting)
            if not self._waiting:
                self._since = self._clock.monotonic()
            self._waiting.append(completion)
            return len(self._waiting)

    def drop(self, tags: Sequence[str]) -> None:
        """Leave alone what comes of deliveries whose leases were lost: others have them."""
        with self._guard_waiting:
            self._lost.update(tags)
            self._waiting = [c for c in self._waiting if c.lease is None or c.lease.tag not in self._lost]

    @property
    def waiting(self) -> int:
        """How many completions wait to be carried out."""
        return len(self._waiting)

    @property
    def age(self) -> Seconds:
        """How long the oldest waiting completion has waited; 0 when none does, or after a failure until it is due."""
        with self._guard_waiting:
            now = self._clock.monotonic()
            return now - self._since if self._waiting and now >= self._not_before else 0.0

    def flush(self) -> bool:
        """Carry out what waits. False when a store failed: it is kept, and tried again when a pause is over."""
        with self._guard_waiting:
            if not self._waiting or self._clock.monotonic() < self._not_before:
                return not self._waiting
            batch, self._waiting = self._waiting, []
            self._under_way += 1
        try:
            self._carry_out(batch)
        except OperationalError as error:
            self._keep(batch, error)
            return False
        finally:
            with self._guard_waiting:
                self._under_way -= 1
                self._guard_waiting.notify_all()
        self._pause = 0.0
        return True

    def drain(self, timeout: Seconds) -> bool:
        """Carry out everything, trying again until `timeout` seconds are over. False when something is left."""
        ends = self._clock.monotonic() + timeout
        while True:
            self.flush()
            with self._guard_waiting:
                if not self._waiting and not self._under_way:
                    return True
                left = ends - self._clock.monotonic()
                if left <= 0:
                    return False
                self._guard_waiting.wait(min(left, 0.05))

    def _carry_out(self, batch: Sequence[Completion]) -> None:
        """Do the three steps in their order for the whole batch."""
        records = [completion.record for completion in batch if completion.record is not None]
        if records:
            self._writer.store(records)
        acked = [c for c in batch if c.lease is not None and c.settle is Settle.ACK]
        sent_after_early_ack = [o for c in batch if c.lease is None for o in c.follow_ups]
        if sent_after_early_ack:
            self._broker.send(sent_after_early_ack)
        if acked:
            follow_ups = {c.lease.tag: c.follow_ups for c in acked if c.follow_ups and c.lease is not None}
            self._settled(acked, self._broker.ack(_leases(acked), follow_ups=follow_ups or None))
        self._give_back(batch)
        self._reject(batch)

    def _give_back(self, batch: Sequence[Completion]) -> None:
        by_delay: dict[Seconds, list[Completion]] = defaultdict(list)
        for completion in batch:
            if completion.lease is not None and completion.settle is Settle.REQUEUE:
                by_delay[completion.delay].append(completion)
        for delay, completions in by_delay.items():
            self._settled(completions, self._broker.requeue(_leases(completions), delay=delay))

    def _reject(self, batch: Sequence[Completion]) -> None:
        by_reason: dict[str, list[Completion]] = defaultdict(list)
        for completion in batch:
            if completion.lease is not None and completion.settle is Settle.REJECT:
                by_reason[completion.reason].append(completion)
        for reason, completions in by_reason.items():
            self._settled(completions, self._broker.reject(_leases(completions), reason=reason))

    def _settled(self, completions: Sequence[Completion], lost: Sequence[Lease]) -> None:
        self._ledger.settled([c.lease.tag for c in completions if c.lease is not None])
        for lease in lost:
            logger.warning(
                "The lease of a delivery on queue %s was lost before it was settled (%s): another worker has it now.",
                lease.queue, lease.tag,
            )  # fmt: skip

    def _keep(self, batch: Sequence[Completion], error: OperationalError) -> None:
        with self._guard_waiting:
            first = self._pause == 0.0
            self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
            self._not_before = self._clock.monotonic() + self._pause
            self._waiting[:0] = batch
        level = logging.ERROR if first else logging.WARNING
        logger.log(level, "%s completions are kept and tried again in %.1f s: %s", len(batch), self._pause, error)


def _leases(completions: Sequence[Completion]) -> list[Lease]:
    return [completion.lease for completion in completions if completion.lease is not None]
