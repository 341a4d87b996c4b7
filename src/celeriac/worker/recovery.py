"""What becomes of the deliveries that a dead engine held."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from celeriac import states
from celeriac.clock import Clock
from celeriac.exceptions import OperationalError, TaskRevokedError, TimeLimitExceeded
from celeriac.interfaces.broker import Broker, Lease
from celeriac.interfaces.results import ResultRecord
from celeriac.result.writer import ResultWriter
from celeriac.wire.results import TaskResult
from celeriac.worker.board import FOLLOWED, Running, as_written

_read_record = msgspec.msgpack.Decoder(ResultRecord).decode

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

    def settle(
        self,
        held: Sequence[Lease],
        ended: Mapping[str, bytes],
        ran: Sequence[Running],
        *,
        overdue: Sequence[Running],
        revoked: Sequence[Running] = (),
    ) -> None:
        """Give back what had not started, mark what was running, and end what was ended for its time limit.

        What had `ended` (see `EngineBoard.ended`) is completed. What was `revoked` and did not end is given back:
        who takes it sees that, and sees to its end. But nobody takes what was acknowledged before.
        """
        late = {run.tag: run for run in overdue}
        running = {run.tag for run in ran} - late.keys()
        by_tag = {as_written(lease.tag): lease for lease in held}
        waiting = [
            lease for tag, lease in by_tag.items() if tag not in running and tag not in late and tag not in ended
        ]
        try:
            if waiting:
                self._broker.requeue(waiting)
            struck = [lease for tag, lease in by_tag.items() if tag in running]
            if struck:
                self._broker.requeue(struck, redelivered=True)
            self._complete(by_tag, ended)
            for tag, run in late.items():
                if tag in by_tag:
                    self._end(by_tag[tag], run)
            self._revoke([run for run in revoked if run.tag not in by_tag and run.tag not in ended])
        except OperationalError as error:
            logger.error("What the engine held comes back only when its leases end: %s", error)

    def give_back(self, held: Sequence[Lease], ended: Mapping[str, bytes]) -> None:
        """Give back unmarked what had not `ended`: the engine was ended by request, not by what it ran."""
        by_tag = {as_written(lease.tag): lease for lease in held}
        left = [lease for tag, lease in by_tag.items() if tag not in ended]
        try:
            if left:
                self._broker.requeue(left)
            self._complete(by_tag, ended)
        except OperationalError as error:
            logger.error("%s tasks run again only when their leases end: %s", len(held), error)

    def _complete(self, held: Mapping[str, Lease], ended: Mapping[str, bytes]) -> None:
        """Store the results of what had ended, and acknowledge it."""
        done = [tag for tag in ended if tag in held]
        records = [_read_record(ended[tag]) for tag in done if ended[tag]]
        if records:
            self._writer.store(records)
        if done:
            self._broker.ack([held[tag] for tag in done])

    def _revoke(self, runs: Sequence[Running]) -> None:
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        error = TaskRevokedError("terminated")
        records = [
            self._writer.record_of_error(
                TaskResult(task_id=run.task_id, state=states.REVOKED, result=error, date_done=done), run.reply_to
            )
            for run in runs
        ]
        if records:
            self._writer.store(records)

    def _end(self, lease: Lease, run: Running) -> None:
        limit = run.overdue - run.started
        error = TimeLimitExceeded(f"The task ran longer than its time limit of {limit:g} s")
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        result = TaskResult(task_id=run.task_id, state=states.FAILURE, result=error, date_done=done)
        self._writer.store([self._writer.record_of_error(result, run.reply_to)])
        if run.name.endswith(FOLLOWED):  # it comes again, and what follows is seen to where its result is found
            self._broker.requeue([lease], redelivered=True)
        elif self._acks_timeouts.get(run.name, True):
            self._broker.ack([lease])
        else:
            self._broker.reject([lease], reason=str(error))
