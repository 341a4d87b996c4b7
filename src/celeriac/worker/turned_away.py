"""What becomes of deliveries that do not run here."""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac import states
from celeriac.result.reader import ResultReader
from celeriac.result.writer import ResultWriter
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall
from celeriac.worker.admission import Expired, Job, Postponed, Refused
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import Sequels, has_sequel


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
            record = (
                None
                if refused.call.ignore_result
                else self._writer.record_of_error(refused.result, refused.call.reply_to)
            )
            end = Completion(lease, Settle.ACK, record)
            return self.ended(refused.call, end, refused.result.result, state=states.REVOKED)
        reply_to = refused.delivery.message.reply_to if isinstance(refused.delivery.message, Message) else None
        record = None if refused.result is None else self._writer.record_of_error(refused.result, reply_to)
        end = Completion(lease, Settle.REJECT, record, reason=refused.reason)
        return end if refused.result is None else self.ended(refused.call, end, refused.result.result)

    def ended_before(self, job: Job) -> Completion | None:
        """Return the end of a task that comes again though its result is stored: what follows was not sent then.

        So it is when its engine died in between, or was ended for it. None where it has to run. Raises `BackendError`.
        """
        call = job.call
        if not has_sequel(call) and not call.callbacks:
            return None
        found = self._reader.ends([call.id]).get(call.id)
        if found is None:
            return None
        lease = job.delivery.lease if job.runner.acks_late else None
        if found.state != states.SUCCESS:
            return self.ended(call, Completion(lease), found.result, state=found.state)
        sequel = self._sequels.of_success(call, found.result)
        return Completion(lease, follow_ups=sequel.messages, sequel=sequel)

    def ended(self, call: TaskCall | None, end: Completion, error: Any, *, state: str = states.FAILURE) -> Completion:
        """Return the end of a call with what follows from it."""
        if call is None or not has_sequel(call):
            return end
        sequel = self._sequels.of_failure(call, error, state=state)
        return msgspec.structs.replace(end, follow_ups=sequel.messages, sequel=sequel)
