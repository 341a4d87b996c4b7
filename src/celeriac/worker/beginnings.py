"""What the broker is told before a job begins: that it is done with, or that its holder may die of it once more."""

from __future__ import annotations

import logging
from typing import Final

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker
from celeriac.types import Seconds
from celeriac.worker.admission import Job
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.flag import Flag
from celeriac.worker.ledger import Ledger

logger = logging.getLogger(__name__)

_AGAIN: Final[Seconds] = 0.05
"""Seconds until an acknowledgement whose answer was lost is tried again; doubled each time, up to `_LONGEST`."""
_LONGEST: Final[Seconds] = 1.0


def acked_early(job: Job, broker: Broker, ledger: Ledger, *, stopping: Flag) -> bool:
    """Acknowledge before the run, as the task wants it (``acks_late=False``).

    False when it may not run: another has it, or nobody, or the engine stops.
    """
    lease, pause, lost = job.delivery.lease, 0.0, None
    while lost is None:
        try:
            lost = broker.ack([lease])
        except BrokerError as error:
            if not pause:
                text = "Task %s[%s] waits: whether it is acknowledged is not known: %s"
                logger.error(text, job.call.name, job.call.id, error)
            pause = min(_LONGEST, pause * 2 or _AGAIN)
            if stopping.wait(pause):
                text = "Task %s[%s] is left alone: it comes back if it was not acknowledged"
                logger.error(text, job.call.name, job.call.id)
                return False
    ledger.settled([lease.tag])
    # What is gone after a call whose answer was lost was acknowledged by that call: it is ours to run.
    return not lost or pause > 0


def crash_counted(job: Job, broker: Broker, ledger: Ledger, crashes: CrashCounter) -> bool:
    """Count the crash that this run will have been if its holder dies. False when the lease was lost.

    A task that is acknowledged before it runs cannot come back. Raises `OperationalError` kin.
    """
    if job.delivery.crashes is None:
        crashes.count(job.call)
        return True
    lease = job.delivery.lease
    if broker.brace(lease):
        return True
    logger.warning("Task %s[%s] is not begun: its message was lost to another worker", job.call.name, job.call.id)
    ledger.settled([lease.tag])
    return False
