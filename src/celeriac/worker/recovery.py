"""What becomes of the deliveries that a dead engine held."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from celeriac import states
from celeriac.clock import Clock
from celeriac.exceptions import (
    CeleriacError,
    OperationalError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from celeriac.interfaces.broker import Broker, Lease
from celeriac.interfaces.results import ResultRecord
from celeriac.result.writer import ResultWriter
from celeriac.wire.results import TaskResult
from celeriac.worker.board import FOLLOWED, Running, as_written

_read_record = msgspec.msgpack.Decoder(ResultRecord).decode

logger = logging.getLogger(__name__)


class Recovery:
    """Settles for the dead. What cannot be settled comes back when its lease ends, which is never wrong, only later.

    `acks_timeouts` tells, by task name, whether a task whose time was up is done with (the default), or a dead letter;
    `owner`, by the number of an engine, as whose its deliveries are held. `coroutines` are the names of tasks that run
    on the event loop.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        broker: Broker,
        writer: ResultWriter,
        *,
        acks_timeouts: Mapping[str, bool],
        owner: Callable[[int], str],
        coroutines: Collection[str],
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._acks_timeouts = acks_timeouts
        self._owner = owner
        self._coroutines = coroutines
        self._clock = clock

    def settle(  # noqa: PLR0913  all that is known of the dead
        self,
        index: int,
        held: Sequence[Lease],
        ended: Mapping[str, bytes],
        ran: Sequence[Running],
        *,
        overdue: Sequence[Running],
        revoked: Sequence[Running] = (),
    ) -> None:
        """Give back what had not started, mark what was running, and end what was ended for its time limit.

        What had `ended` (see `EngineBoard.ended`) is completed. What was `revoked` and did not end is given back:
        who takes it sees that, and sees to its end. But nobody takes what was acknowledged before: that ends here.
        """
        late = {run.tag: run for run in overdue}
        running = {run.tag for run in ran} - late.keys()
        if overdue and not revoked and not any(self._is_coroutine(run) for run in overdue):
            # The supervisor killed for these alone: what ran beside them is not to blame, so it is not marked. Of a
            # coroutine that is not known, since another may have kept the event loop from ending it.
            running = {run.tag for run in ran if run.is_once} - late.keys()
        by_tag = {as_written(lease.tag): lease for lease in held}
        waiting = [
            lease for tag, lease in by_tag.items() if tag not in running and tag not in late and tag not in ended
        ]
        try:
            waiting += self._unheard(index, by_tag.keys() | ended.keys())
            if waiting:
                self._broker.requeue(waiting)
            struck = [lease for tag, lease in by_tag.items() if tag in running]
            if struck:
                self._broker.requeue(struck, redelivered=True)
            self._complete(by_tag, ended)
            for tag, run in late.items():
                if tag in by_tag:
                    self._end(by_tag[tag], run)
            ended_by_us = {run.tag for run in revoked} | late.keys()
            self._lose([run for run in ran if run.is_once and run.tag not in by_tag and run.tag not in ended_by_us])
            self._fail([(run, _too_long(run)) for run in overdue if run.is_once and run.tag not in by_tag])
            self._revoke([run for run in revoked if run.tag not in by_tag and run.tag not in ended])
        except OperationalError as error:
            logger.error("What the engine held comes back only when its leases end: %s", error)

    def give_back(self, index: int, held: Sequence[Lease], ended: Mapping[str, bytes], ran: Sequence[Running]) -> None:
        """Give back unmarked what had not `ended`: the engine was ended by request, not by what it `ran`.

        What must not run again is marked: who takes it sees to its end.
        """
        by_tag = {as_written(lease.tag): lease for lease in held}
        once = {run.tag for run in ran if run.is_once}
        left = [lease for tag, lease in by_tag.items() if tag not in ended and tag not in once]
        struck = [lease for tag, lease in by_tag.items() if tag in once]
        try:
            left += self._unheard(index, by_tag.keys() | ended.keys())
            if left:
                self._broker.requeue(left)
            if struck:
                self._broker.requeue(struck, redelivered=True)
            self._lose([run for run in ran if run.is_once and run.tag not in by_tag])
            self._complete(by_tag, ended)
        except OperationalError as error:
            logger.error("%s tasks run again only when their leases end: %s", len(held), error)

    def _is_coroutine(self, run: Running) -> bool:
        return run.name.removesuffix(FOLLOWED) in self._coroutines

    def _unheard(self, index: int, known: Collection[str]) -> list[Lease]:
        """Return what the engine's last claim took without its hearing of it: the engine died over it."""
        return [lease for lease in self._broker.held_by(self._owner(index)) if as_written(lease.tag) not in known]

    def _complete(self, held: Mapping[str, Lease], ended: Mapping[str, bytes]) -> None:
        """Store the results of what had ended, and acknowledge it."""
        done = [tag for tag in ended if tag in held]
        records = [_read_record(ended[tag]) for tag in done if ended[tag]]
        if records:
            self._writer.store(records)
        if done:
            self._broker.ack([held[tag] for tag in done])

    def _revoke(self, runs: Sequence[Running]) -> None:
        self._fail([(run, TaskRevokedError("terminated")) for run in runs], state=states.REVOKED)

    def _lose(self, runs: Sequence[Running]) -> None:
        """End what died with its engine and does not come again."""
        for run in runs:
            logger.error("Task %s is lost: its worker died while it ran, and it was acknowledged before", run.task_id)
        self._fail([(run, WorkerLostError("its worker died while it ran, once and for all")) for run in runs])

    def _fail(self, ends: Sequence[tuple[Running, CeleriacError]], *, state: str = states.FAILURE) -> None:
        """Store the ends of runs."""
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        results = [
            (TaskResult(task_id=run.task_id, state=state, result=error, date_done=done), run.reply_to)
            for run, error in ends
        ]
        if results:
            self._writer.store([self._writer.record_of_error(*result) for result in results])

    def _end(self, lease: Lease, run: Running) -> None:
        error = _too_long(run)
        self._fail([(run, error)])
        if run.name.endswith(FOLLOWED):  # it comes again, and what follows is seen to where its result is found
            self._broker.requeue([lease], redelivered=True)
        elif self._acks_timeouts.get(run.name, True):
            self._broker.ack([lease])
        else:
            self._broker.reject([lease], reason=str(error))


def _too_long(run: Running) -> TimeLimitExceeded:
    return TimeLimitExceeded(f"The task ran longer than its time limit of {run.overdue - run.started:g} s")
