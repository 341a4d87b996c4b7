"""What becomes of the deliveries that a dead engine held."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from celeriac import states
from celeriac.clock import Clock
from celeriac.exceptions import OperationalError, TimeLimitExceeded
from celeriac.interfaces.broker import Broker, Lease
from celeriac.result.writer import ResultWriter
from celeriac.wire.results import TaskResult
from celeriac.worker.board import Running, as_written

logger = logging.getLogger(__name__)


class Recovery:
    """Settles for the dead. What cannot be settled comes back when its lease ends, which is never wrong, only later.

    `acks_timeouts` tells, by task name, whether a task whose time was up is done with (the default), or a dead letter.
    """

    def __init__(
        self, broker: Broker, writer: ResultWriter, *, acks_timeouts: Mapping[str, bool], clock: Clock
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._acks_timeouts = acks_timeouts
        self._clock = clock

    def settle(self, held: Sequence[Lease], ran: Sequence[Running], *, overdue: Sequence[Running]) -> None:
        """Give back what had not started, mark what was running, and end what was ended for its time limit."""
        late = {run.tag: run for run in overdue}
        running = {run.tag for run in ran} - late.keys()
        by_tag = {as_written(lease.tag): lease for lease in held}
        waiting = [lease for tag, lease in by_tag.items() if tag not in running and tag not in late]
        try:
            if waiting:
                self._broker.requeue(waiting)
            struck = [lease for tag, lease in by_tag.items() if tag in running]
            if struck:
                self._broker.requeue(struck, redelivered=True)
            for tag, run in late.items():
                if tag in by_tag:
                    self._end(by_tag[tag], run)
        except OperationalError as error:
            logger.error("What the engine held comes back only when its leases end: %s", error)

    def give_back(self, held: Sequence[Lease]) -> None:
        """Give everything back unmarked: the engine was ended by request, not by what it ran."""
        if not held:
            return
        try:
            self._broker.requeue(held)
        except OperationalError as error:
            logger.error("%s tasks run again only when their leases end: %s", len(held), error)

    def _end(self, lease: Lease, run: Running) -> None:
        limit = run.overdue - run.started
        error = TimeLimitExceeded(f"The task ran longer than its time limit of {limit:g} s")
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        result = TaskResult(task_id=run.task_id, state=states.FAILURE, result=error, date_done=done)
        self._writer.store([self._writer.record_of_error(result)])
        if self._acks_timeouts.get(run.name, True):
            self._broker.ack([lease])
        else:
            self._broker.reject([lease], reason=str(error))
