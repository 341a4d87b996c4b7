"""Whether a task may begin that may have run before: its holder died, or its message may be there twice."""

from __future__ import annotations

import logging
from typing import Final

from celeriac.exceptions import OperationalError, WorkerLostError
from celeriac.interfaces.broker import Broker
from celeriac.result.writer import ResultWriter
from celeriac.types import Seconds
from celeriac.worker.admission import Admission, Job
from celeriac.worker.beginnings import crash_counted
from celeriac.worker.completion import Completer
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.ledger import Ledger
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.solitude import Solitude
from celeriac.worker.task_log import TaskLog
from celeriac.worker.turned_away import TurningAway

logger = logging.getLogger(__name__)

_LATER: Final[Seconds] = 1.0
"""Seconds until a task whose crashes could not be counted is tried again."""


class SecondRuns:
    """Decides about such tasks, and completes those that may not run. For the threads that start tasks."""

    def __init__(  # noqa: PLR0913  all from different parts of the engine
        self,
        broker: Broker,
        writer: ResultWriter,
        ledger: Ledger,
        completer: Completer,
        *,
        crashes: CrashCounter,
        turning_away: TurningAway,
        admission: Admission,
        solitude: Solitude,
        log: TaskLog,
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._ledger = ledger
        self._completer = completer
        self._crashes = crashes
        self._turning_away = turning_away
        self._admission = admission
        self._solitude = solitude
        self._log = log

    def may_begin(self, job: Job) -> bool:
        """Tell whether the job may begin: not too often, and not where the death of its holder was its end.

        One that has its last chance begins a `Solitude`, which who starts it has to end.
        """
        try:
            again = job.delivery.redelivered
            away = self._turning_away
            end = away.ended_before(job) if again else away.of_second(job)
            if end is not None:
                self._completer.add(end)
            if end is not None or not again:
                return end is None
            counted = job.delivery.crashes
            crashes = self._crashes.crashes_before(job.call) if counted is None else counted
            ends = job.ends_with_its_worker and (crashes > 0 or self._broker.capabilities.tells_deaths)
            if ends or self._crashes.is_too_many(crashes):
                self._end(job, crashes)
                return False
            return not job.acks_late or self._is_counted(job, crashes)
        except OperationalError as error:
            logger.error("Task %s[%s] is given back, not started: %s", job.call.name, job.call.id, error)
            self._completer.add(Completion(job.delivery.lease, Settle.REQUEUE, delay=_LATER))
            return False

    def _is_counted(self, job: Job, crashes: int) -> bool:
        """Count the crash that this run will have been if its holder dies. False when the lease was lost meanwhile."""
        if self._crashes.is_last_chance(crashes):
            self._solitude.begin(job.call, crashes)  # first: while it waits it is not running
        return crash_counted(job, self._broker, self._ledger, self._crashes)

    def _end(self, job: Job, crashes: int) -> None:
        often = f" {crashes} time{'s' if crashes > 1 else ''}" if crashes else ""  # nobody counts without a coordinator
        reason = f"its worker died{often} while it ran"
        self._log.lost(job.call.name, job.call.id, reason)
        failed = self._admission.failed(job.call.id, WorkerLostError(reason))
        record = self._writer.record_of_error(failed, job.call.reply_to)
        settle = Settle.ACK if job.ends_with_its_worker else Settle.REJECT
        end = Completion(job.delivery.lease, settle, record, reason=reason)
        self._completer.add(self._turning_away.ended(job.call, end, failed.result))
