"""What becomes of deliveries that do not run here."""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac import states
from celeriac.result.writer import ResultWriter
from celeriac.wire.tasks import TaskCall
from celeriac.worker.admission import Expired, Postponed, Refused
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import Sequels, has_sequel


class TurningAway:
    """Completes what has not run, with what concerns the workflow that it is part of. Thread-safe."""

    def __init__(self, writer: ResultWriter, sequels: Sequels) -> None:
        self._writer = writer
        self._sequels = sequels

    def completion(self, refused: Refused | Postponed | Expired) -> Completion:
        """Return what becomes of a delivery that was not admitted."""
        lease = refused.delivery.lease
        if isinstance(refused, Postponed):
            return Completion(lease, Settle.REQUEUE, delay=refused.delay)
        if isinstance(refused, Expired):
            record = None if refused.call.ignore_result else self._writer.record_of_error(refused.result)
            end = Completion(lease, Settle.ACK, record)
            return self.ended(refused.call, end, refused.result.result, state=states.REVOKED)
        record = None if refused.result is None else self._writer.record_of_error(refused.result)
        end = Completion(lease, Settle.REJECT, record, reason=refused.reason)
        return end if refused.result is None else self.ended(refused.call, end, refused.result.result)

    def ended(self, call: TaskCall | None, end: Completion, error: Any, *, state: str = states.FAILURE) -> Completion:
        """Return the end of a call with what follows from it."""
        if call is None or not has_sequel(call):
            return end
        sequel = self._sequels.of_failure(call, error, state=state)
        return msgspec.structs.replace(end, follow_ups=sequel.messages, sequel=sequel)
