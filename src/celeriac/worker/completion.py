"""Completing deliveries in batches: store the results, send what follows, then acknowledge."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac import states
from celeriac.app.base import Celeriac
from celeriac.clock import Clock
from celeriac.exceptions import (
    BackendStoreError,
    BrokerError,
    BrokerUnavailable,
    CeleriacError,
    ImproperlyConfigured,
    OperationalError,
    TaskError,
)
from celeriac.interfaces.broker import Broker, Lease
from celeriac.result.writer import ResultWriter
from celeriac.types import Seconds
from celeriac.wire.results import TaskResult
from celeriac.worker.chords import ChordEnds
from celeriac.worker.ledger import Ledger
from celeriac.worker.outcome import Completion, Settle, without_ends, without_follow_ups
from celeriac.worker.pulse import Pulse
from celeriac.worker.riding import Acks, ends_of, is_light, stores_anything, take_out

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Seconds = 0.1
_LONGEST_PAUSE: Seconds = 2.0
_LOOK: Seconds = 0.01
"""Between two looks whether another thread's batch is done, when all has to be."""
_WHOLE: Final = 1 << 20
"""More completions than ever wait at once."""
_MOST_STRIKES: Final = 10
_MOST_SAID: Final = 500
"""Characters of an error in the result of the task that met it."""


class _Strikes:
    """How often a completion failed alone. It is kept here so that its id stays its own."""

    def __init__(self, completion: Completion, successes: int) -> None:
        self.completion = completion
        self.successes = successes
        self.count = 0


class Completer:
    """Gathers completions and carries them out, many at once. Thread-safe.

    Where `results_ride`, the broker stores results with the acknowledgement; see `BrokerCapabilities.stores_results`.

    A crash between two of the three steps repeats the later ones, and each is idempotent. What a failing store has not
    done is kept and tried again: nothing is lost while it is away, and the leases go on being renewed meanwhile. A
    batch that failed is tried again in halves, soon, so that what a store refuses for good holds up no other; from one
    that fails alone on the pauses grow. When others
    were stored and one alone was refused ten times, its task has failed, and the result says why; where its follow-ups
    were refused its message is a dead letter too. A queue that cannot be is refused once, and so is what is too large
    for the store (`OperationalError.is_for_good`). Who waits for what would have followed is told.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        broker: Broker,
        writer: ResultWriter,
        ledger: Ledger,
        *,
        clock: Clock,
        chords: ChordEnds,
        pulse: Pulse | None = None,
        results_ride: bool = False,
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._results_ride = results_ride
        self._chords = chords
        self._ledger = ledger
        self._monotonic = clock.monotonic
        self._pulse = pulse or Pulse()
        self._guard_waiting = threading.Lock()
        self._waiting: list[Completion] = []
        self._since = 0.0
        self.is_awaited = False
        """Whether somebody may wait for what has not been carried out: a result, or the next task."""
        self._waits_for_more = False
        """Whether something waits that cannot go with a claim: see `is_light`."""
        self._under_way: list[None] = []  # an entry for each batch
        self._pause = 0.0
        self._not_before = 0.0
        self._lost: set[str] = set()
        self._most = _WHOLE
        self._successes = 0
        self._strikes: dict[int, _Strikes] = {}

    def add(self, completion: Completion) -> int:
        """Take a completion in; return how many are waiting now."""
        with self._guard_waiting:
            if self._lost and completion.lease is not None and completion.lease.tag in self._lost:
                self._lost.discard(completion.lease.tag)
                return len(self._waiting)
            if not self._waiting:
                self._since = self._monotonic()
            self._waiting.append(completion)
            rides = is_light(completion)
            if not rides:
                self.is_awaited = self._waits_for_more = True
            elif completion.record is not None or completion.follow_ups:
                self.is_awaited = True
            return len(self._waiting)

    def drop(self, tags: Sequence[str]) -> None:
        """Leave alone what comes of deliveries whose leases were lost: others have them."""
        with self._guard_waiting:
            self._lost.update(tags)
            self._waiting = self._without_lost(self._waiting)
            if not self._waiting and not self._under_way:
                self._pulse.stored()

    def waits(self) -> bool:
        """Tell whether completions wait to be carried out."""
        return bool(self._waiting)

    @property
    def waiting(self) -> int:
        """How many completions wait to be carried out."""
        return len(self._waiting)

    @property
    def age(self) -> Seconds:
        """How long the oldest waiting completion has waited; 0 when none does, or after a failure until it is due."""
        with self._guard_waiting:
            now = self._monotonic()
            return now - self._since if self._waiting and now >= self._not_before else 0.0

    def flush(self) -> bool:
        """Carry out what waits. False when a store failed: it is kept, and tried again when a pause is over."""
        while self._waiting and (batch := self._draw()):
            struck = [completion for completion in batch if id(completion) in self._strikes] if self._strikes else ()
            proves = stores_anything(batch)
            try:
                self._carry_out(batch)
            except Exception as error:  # noqa: BLE001  whatever a store raises, completions are not lost by it
                if self._keep(batch, error):
                    continue
                return False
            finally:
                self._ended()
            for completion in struck:
                self._strikes.pop(id(completion), None)
            self._went_well(proves=proves)
        return not self._waiting

    def acks(self) -> Acks | None:
        """Return the acknowledgements that wait, with what follows: they may go with the next claim.

        Results go with them, or are stored before. None where there are none, where more than that waits, or where a
        store is in trouble: `flush` does those.
        """
        if self._waits_for_more or self._is_in_trouble() or not (batch := self._draw()):
            return None
        if self._results_ride:
            return Acks(self, batch, with_results=True)
        try:
            self._store(batch)
        except Exception as error:  # noqa: BLE001  whatever a store raises, completions are not lost by it
            self._keep(batch, error)
            self._ended()
            return None
        return Acks(self, batch, with_results=False)

    def acked(self, leases: Sequence[Lease], lost: Sequence[Lease]) -> None:
        """Take note that a batch of `acks` is acknowledged, but for what was lost before."""
        self._note_settled(leases, lost)
        self._went_well(proves=False)  # of those that are in trouble none rides
        self._ended()

    def not_acked(self, batch: Sequence[Completion], error: Exception) -> None:
        """Take a batch of `acks` back: whether it is acknowledged is not known."""
        self._keep(batch, error)
        self._ended()

    def drain(self, timeout: Seconds) -> bool:
        """Carry out everything, trying again until `timeout` seconds are over. False when something is left."""
        ends = self._monotonic() + timeout
        while True:
            self.flush()
            with self._guard_waiting:
                if not self._waiting and not self._under_way:
                    return True
            left = ends - self._monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK))

    def _draw(self) -> list[Completion]:
        """Return what is to be carried out together now; `_ended` follows. Empty when there is nothing, or not yet."""
        with self._guard_waiting:
            if not self._waiting or self._monotonic() < self._not_before:
                return []
            most = self._most_together() if self._strikes else self._most
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
            self.is_awaited = self._waits_for_more = bool(self._waiting)
            self._under_way.append(None)
        self._pulse.storing()
        return batch

    def _went_well(self, *, proves: bool) -> None:
        self._pulse.stored()
        self._successes += proves
        self._pause = 0.0
        if self._most < _WHOLE:
            self._most *= 2

    def _ended(self) -> None:
        self._under_way.pop()

    def _most_together(self) -> int:
        """Return how many go out in one batch: alone what failed alone since others succeeded, or they fail with it."""
        alone = {key for key, strikes in self._strikes.items() if self._successes > strikes.successes}
        if not alone:
            return self._most
        struck = (place for place, each in enumerate(self._waiting) if id(each) in alone)
        return min(self._most, max(1, next(struck, self._most)))

    def _is_in_trouble(self) -> bool:
        """Tell whether something failed lately: then each step is done for itself, to see which one fails."""
        return bool(self._strikes) or self._most < _WHOLE or self._pause > 0.0

    def _carry_out(self, left: list[Completion]) -> None:
        """Do the three steps in their order for the whole batch; what is done to the end is taken out of `left`."""
        if self._results_ride and not self._is_in_trouble() and all(map(is_light, left)):
            leases, follow_ups, records = ends_of(left)
            lost = self._broker.ack(leases, follow_ups=follow_ups, results=records)
            self._note_settled(leases, lost)
            left.clear()
            return
        self._store(left)
        if any(completion.sequel is not None for completion in left):
            self._chords.carry_out(left, self._settle_all)
        else:
            self._settle_all(left)

    def _settle_all(self, left: list[Completion]) -> set[str]:
        """Send what follows and settle; return the tags of leases that were lost."""
        lost: set[str] = set()
        early = [completion for completion in left if completion.lease is None]
        if early:
            self._send_apart(early)
            take_out(left, early)
        acked = [completion for completion in left if completion.settle is Settle.ACK]
        if acked:
            lost.update(self._settle(acked, Settle.ACK))
            take_out(left, acked)
        by_end: dict[tuple[Settle, Seconds, str], list[Completion]] = defaultdict(list)
        for completion in left:
            by_end[completion.settle, completion.delay, completion.reason].append(completion)
        for (settle, delay, reason), completions in by_end.items():
            lost.update(self._settle(completions, settle, delay=delay, reason=reason))
            take_out(left, completions)
        return lost

    def _store(self, completions: Sequence[Completion]) -> None:
        _, _, records = ends_of(completions)
        if records:
            self._writer.store(records)

    def _send_apart(self, completions: Sequence[Completion]) -> None:
        outgoing = [each for completion in completions for each in completion.follow_ups]
        if outgoing:
            self._broker.send(outgoing)

    def _settle(
        self, completions: Sequence[Completion], settle: Settle, *, delay: Seconds = 0.0, reason: str = ""
    ) -> list[str]:
        leases, follow_ups, _ = ends_of(completions)
        if settle is Settle.ACK:
            lost = self._broker.ack(leases, follow_ups=follow_ups)
        elif settle is Settle.REQUEUE:
            lost = self._broker.requeue(leases, delay=delay)
        else:
            self._send_apart(completions)  # the contract's `reject` sends nothing
            lost = self._broker.reject(leases, reason=_writable(reason))
        return self._note_settled(leases, lost)

    def _note_settled(self, leases: Sequence[Lease], lost: Sequence[Lease]) -> list[str]:
        self._ledger.settled([lease.tag for lease in leases])
        for lease in lost:
            logger.warning(
                "The lease of a delivery on queue %s was lost before it was settled (%s): another worker has it now, or"
                " it was settled by a call whose answer was lost.",
                lease.queue, lease.tag,
            )  # fmt: skip
        return [lease.tag for lease in lost] if lost else []

    def _without_lost(self, completions: Sequence[Completion]) -> list[Completion]:
        """Return those that are still ours; the others need not be remembered any more. Called with the lock held."""
        ours = [c for c in completions if c.lease is None or c.lease.tag not in self._lost]
        if len(ours) < len(completions):
            self._lost.difference_update(c.lease.tag for c in completions if c.lease is not None)
        return ours

    def _keep(self, batch: Sequence[Completion], error: Exception) -> bool:
        """Keep what failed. True when it can go on at once: a message was refused, so no store is away."""
        refused = isinstance(error, ImproperlyConfigured) and any(completion.follow_ups for completion in batch)
        with self._guard_waiting:
            if refused:
                self._put_back(batch, error)
                return True
            first = self._pause == 0.0
            is_alone = len(batch) == 1
            self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE) if is_alone else _FIRST_PAUSE
            self._not_before = self._monotonic() + self._pause
            self._put_back(batch, error)
        level = logging.ERROR if first else logging.WARNING
        surprise = None if isinstance(error, OperationalError) else error
        text = "%s completions are kept and tried again in %.1f s: %s"
        logger.log(level, text, len(batch), self._pause, error, exc_info=surprise)
        return False

    def _put_back(self, batch: Sequence[Completion], error: Exception) -> None:
        if len(batch) == 1:
            self._waiting.extend(self._without_lost([self._struck(batch[0], error)]))
        else:
            self._most = max(1, len(batch) // 2)
            self._waiting[:0] = self._without_lost(batch)
        self.is_awaited = self._waits_for_more = True

    def _struck(self, completion: Completion, error: Exception) -> Completion:
        """Return the completion that failed alone, or, if it does so for good, one that says why. Lock held."""
        strikes = self._strikes.pop(id(completion), None) or _Strikes(completion, self._successes)
        strikes.count += 1
        is_for_good = strikes.count >= _MOST_STRIKES and self._successes > strikes.successes
        is_for_good |= strikes.count > 1 and getattr(error, "is_for_good", False)  # once, a result may ride
        if completion.follow_ups and (isinstance(error, ImproperlyConfigured) or (is_for_good and _is_refusal(error))):
            return self._without_follow_ups(completion, error)
        is_refused = is_for_good and not isinstance(error, BrokerError)
        if is_refused and completion.sequel is not None and _has_failed(completion):
            return self._without_follow_ups(completion, error)  # its result is stored: it is what a chord counts
        if is_refused and completion.record is not None:
            logger.error("The result of task %s is given up, it cannot be stored: %s", completion.record.task_id, error)
            return self._failure(completion, BackendStoreError(f"The result could not be stored: {_shortly(error)}"))
        self._strikes[id(completion)] = strikes
        return completion

    def _without_follow_ups(self, completion: Completion, error: Exception) -> Completion:
        """Return the end of a task whose next try cannot be sent: it has failed, and its message is a dead letter."""
        if completion.sequel is not None and completion.sequel.ends:
            return without_ends(completion, completion.sequel, _shortly(error))
        reason = f"what follows it could not be sent: {_shortly(error)}"
        task = "A task" if completion.record is None else f"Task {completion.record.task_id}"
        logger.error("%s has failed, %s", task, reason)
        return without_follow_ups(self._failure(completion, TaskError(reason)), reason)

    def _failure(self, completion: Completion, reason: CeleriacError) -> Completion:
        if completion.record is None:
            return completion
        failure = TaskResult(task_id=completion.record.task_id, state=states.FAILURE, result=reason)
        return msgspec.structs.replace(
            completion, record=self._writer.record_of_error(failure, completion.record.reply_to)
        )


def completer_of(app: Celeriac, ledger: Ledger, *, chords: ChordEnds, pulse: Pulse) -> Completer:
    """Return what completes for an engine of the application."""
    rides = app.stores.results_ride
    return Completer(app.broker, app.writer, ledger, clock=app.clock, chords=chords, pulse=pulse, results_ride=rides)


def _has_failed(completion: Completion) -> bool:
    return completion.record is None or completion.record.state == states.FAILURE


def _is_refusal(error: Exception) -> bool:
    """Tell whether a broker was there and did not want it."""
    return isinstance(error, BrokerError) and not isinstance(error, BrokerUnavailable)


def _shortly(error: Exception) -> str:
    return str(error)[:_MOST_SAID]


def _writable(reason: str) -> str:
    """Return the text with what is not in UTF-8 (such as the odd bytes of a file name) as Python escapes it."""
    return reason if reason.isascii() else reason.encode("utf-8", "backslashreplace").decode("utf-8")
