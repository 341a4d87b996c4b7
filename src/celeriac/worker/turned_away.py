"""What becomes of deliveries that do not run here."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from celeriac import states
from celeriac.exceptions import BackendError
from celeriac.interfaces.broker import Lease
from celeriac.interfaces.revocations import Revocation
from celeriac.result.reader import ResultReader
from celeriac.result.writer import ResultWriter
from celeriac.types import Seconds
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall
from celeriac.worker.admission import Admission, Expired, Job, Postponed, Refused
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import REPEATED, Sequels, has_sequel

logger = logging.getLogger(__name__)

_LATER: Final[Seconds] = 1.0
"""Seconds until a message that cannot be settled now is looked at again."""

_LONGEST: Final[Seconds] = 5.0
"""The same for one that waits for another, whatever its message says."""


class TurningAway:
    """Completes what has not run, with what concerns the workflow that it is part of. Thread-safe."""

    def __init__(self, reader: ResultReader, writer: ResultWriter, sequels: Sequels) -> None:
        self._reader = reader
        self._writer = writer
        self._sequels = sequels

    def completion(self, refused: Refused | Postponed | Expired) -> Completion:
        """Return what becomes of a delivery that was not admitted."""
        lease = refused.delivery.lease
        if isinstance(refused, Postponed):
            return Completion(lease, Settle.REQUEUE, delay=refused.delay)
        if isinstance(refused, Expired):
            return self.discarded(refused, lease)
        reply_to = refused.delivery.message.reply_to if isinstance(refused.delivery.message, Message) else None
        record = None if refused.result is None else self._writer.record_of_error(refused.result, reply_to)
        end = Completion(lease, Settle.REJECT, record, reason=refused.reason)
        return end if refused.result is None else self.ended(refused.call, end, refused.result.result)

    def refused(self, admission: Admission, job: Job, revocation: Revocation) -> Completion:
        """Return the end of a job that was revoked after it was admitted, and perhaps acknowledged."""
        lease = job.delivery.lease if job.acks_late else None
        return self.discarded(admission.discard(job.delivery, job.call, revocation), lease)

    def discarded(self, discarded: Expired, lease: Lease | None) -> Completion:
        """Return the end of a call that may not run. `lease` is None when its message is acknowledged already."""
        call, error = discarded.call, discarded.result.result
        if discarded.delivery.redelivered:
            try:
                ended = self._ended_before(call, lease)
            except BackendError as failure:
                logger.error("Task %s[%s] waits: how it ended cannot be read: %s", call.name, call.id, failure)
                return Completion(lease, Settle.REQUEUE, delay=_LATER)
            if ended is not None:
                return ended
        record = None if call.ignore_result else self._writer.record_of_error(discarded.result, call.reply_to)
        return self.ended(call, Completion(lease, Settle.ACK, record), error, state=states.REVOKED)

    def ended_before(self, job: Job) -> Completion | None:
        """Return the end of a task that comes again though its result is stored: perhaps what follows was not sent.

        So it is when its engine died in between, or was ended for it; and where the store copies a message whose holder
        has died, and both are there. None where it has to run. Raises `BackendError`.
        """
        return self._ended_before(job.call, job.delivery.lease)

    def of_second(self, job: Job) -> Completion | None:
        """Return what becomes of a message that may be a task's second (see `Sequels.again`).

        It waits a while for the first one's end, and is dropped then. None where it has to run. Raises `BackendError`.
        """
        if not self._writer.keeps_results:
            return None
        until = job.call.headers[REPEATED]
        if self._reader.ends([job.call.id]):
            text = "Task %s[%s] has ended already: this second message of it is dropped"
            logger.info(text, job.call.name, job.call.id)
            return Completion(job.delivery.lease)
        wait = until - self._sequels.now() if isinstance(until, int | float) else 0.0
        return Completion(job.delivery.lease, Settle.REQUEUE, delay=min(wait, _LONGEST)) if wait > 0 else None

    def _ended_before(self, call: TaskCall, lease: Lease | None) -> Completion | None:
        is_followed = has_sequel(call) or bool(call.callbacks)
        if not self._writer.keeps_results or not (is_followed or self._sequels.settles_apart):
            return None
        found = self._reader.ends([call.id]).get(call.id)
        if found is None or (not is_followed and found.state != states.SUCCESS):
            return None
        if not is_followed:
            logger.info("Task %s[%s] has ended well already: it does not run again", call.name, call.id)
            return Completion(lease)
        if found.state == states.SUCCESS:
            sequel = self._sequels.of_success(call, found.result)
        elif has_sequel(call):
            sequel = self._sequels.of_failure(call, found.result, state=found.state)
        else:
            return Completion(lease)
        return Completion(lease, follow_ups=self._sequels.again(sequel.messages), sequel=sequel, repeats=True)

    def ended(self, call: TaskCall | None, end: Completion, error: Any, *, state: str = states.FAILURE) -> Completion:
        """Return the end of a call with what follows from it."""
        if call is None or not has_sequel(call):
            return end
        sequel = self._sequels.of_failure(call, error, state=state)
        return msgspec.structs.replace(end, follow_ups=sequel.messages, sequel=sequel)
