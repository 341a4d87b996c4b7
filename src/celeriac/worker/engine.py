"""An engine: one consumer that takes deliveries for itself, runs them and completes them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from celeriac.app.base import Celeriac
from celeriac.interfaces.broker import Delivery
from celeriac.interfaces.revocations import Revocation
from celeriac.result.writer import ResultWriter
from celeriac.types import Seconds
from celeriac.worker.admission import Admission, Job, runners_of
from celeriac.worker.attendant import Attendant
from celeriac.worker.beginnings import acked_early
from celeriac.worker.board import EngineBoard
from celeriac.worker.chords import sequels_of
from celeriac.worker.claims import ClaimSize
from celeriac.worker.completion import completer_of
from celeriac.worker.consumer import Consumer
from celeriac.worker.coroutine_backlog import CoroutineBacklog
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.executors.coroutines import CoroutineExecutor
from celeriac.worker.executors.inline import InlineExecutor
from celeriac.worker.executors.threads import ThreadExecutor
from celeriac.worker.flag import Flag
from celeriac.worker.ledger import Ledger
from celeriac.worker.options import NodePlan
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.pulse import Pulse
from celeriac.worker.renewals import Renewals
from celeriac.worker.revoked import Revoked
from celeriac.worker.runs import Runs
from celeriac.worker.second_runs import SecondRuns
from celeriac.worker.side_claims import SideClaims
from celeriac.worker.slack import Slack
from celeriac.worker.solitude import Solitude
from celeriac.worker.task_log import TaskLog
from celeriac.worker.tenure import Tenure, without
from celeriac.worker.turned_away import TurningAway
from celeriac.worker.wear import Wear

logger = logging.getLogger(__name__)

_IDLE_WAIT: Final[Seconds] = 7.0
"""Seconds of one wait for work: two rounds of the Redis driver. `stop` interrupts it."""
_LONG: Final[Seconds] = 0.005
"""A task expected to run longer than this does not keep finished ones waiting."""
_TELL: Final[Seconds] = 0.005
"""Results of tasks that ended longer ago than this go out before the next task begins."""
_SETTLE: Final[Seconds] = 0.05
"""So do acknowledgements that nobody waits for. They are not lost with the engine, since its supervisor completes what
the board says has ended; a node that is killed as a whole repeats this much work. Each trip between tasks of 1 ms costs
a fifth of one."""
_HANDS_OFF: Final[Seconds] = 0.05
"""What waits longer, because a task takes unexpectedly long, goes out beside it."""
_STUCK: Final[Seconds] = 0.05
"""When the slots have been taken for this long, what was claimed beyond them is given back."""
_SIDE: Final = 10
"""Messages that are claimed at once for the event loop while every slot is taken."""
_SIDE_WAIT: Final[Seconds] = 1.0
_FAILED: Final[Seconds] = 5.0
"""Seconds that what runs beside it gets when an engine has failed."""
_DRAIN: Final[Seconds] = 10.0
"""Seconds that the last completions get to reach the store."""


class Engine:
    """Claims, runs and completes, until it is told to stop. `run` belongs to one thread, `stop` may come from any."""

    def __init__(
        self, app: Celeriac, plan: NodePlan, ledger: Ledger, *, index: int, board: EngineBoard | None = None
    ) -> None:
        self.pulse = Pulse() if board is None else board.pulse
        """How lately the stores answered; the node reads it."""
        self.renewals = Renewals() if board is None else board.renewals
        """When its leases were renewed; the node writes it."""
        self._freed, self._stopping = threading.Event(), Flag()
        self._log, self._backlog = TaskLog(), deque[Job]()
        self._ledger, self._broker = ledger, app.broker
        self._broker.rely_on_watch()  # the node's `WatchLoop`
        self._broker.entrust(plan.custodian)
        sequels, chords = sequels_of(app)
        self._revoked = revoked = Revoked(app.stores.revocations)
        self._turning_away = TurningAway(app.reader, app.writer, sequels)
        self._completer = completer_of(app, ledger, chords=chords, pulse=self.pulse)
        self._tenure = Tenure(self._broker, ledger, self._completer, self.renewals, lease=plan.lease, clock=app.clock)
        consumer = _consumers(app, plan, ledger, revoked, index=index)
        self._consumer, self._side_consumer = consumer(pulse=self.pulse), consumer()
        watched = board is not None and plan.inline
        runners = runners_of(app, plan.nodename, log=self._log, sequels=sequels, revoked=revoked, is_supervised=watched)
        self._admission = Admission(runners, app.conf, clock=app.clock, revoked=revoked)
        crashes = CrashCounter(app.coordinator, most=app.conf.task_max_crashes)
        self._wear = Wear(most_tasks=app.conf.worker_max_tasks_per_child, most_kib=app.conf.worker_max_memory_per_child)
        refused = partial(self._turning_away.refused, self._admission)
        self._runs = Runs(board, self._completer, crashes, self._wear, revoked, refused, is_inline=plan.inline)
        self._inline = plan.inline
        self._sync = self._sync_executor(plan)
        self._claims = ClaimSize(self._sync.slots)
        self._solitude = Solitude(busy=self._busy, give_back=self._give_back_all, stopping=self._stopping)
        self._second_runs = self._decider(app.writer, crashes)
        self._async_backlog = CoroutineBacklog(
            slots=plan.async_slots,
            is_open=self._is_open,
            is_sure=self._tenure.is_sure,
            wake=self._freed.set,
        )
        self._coroutines = CoroutineExecutor[Job](
            self._run_coroutine,
            slots=plan.async_slots,
            freed=self._freed.set,
            following=self._async_backlog.following,
            forgone=self._give_back_one,
        )
        self._side_claims = SideClaims(wanted=self._has_only_coroutine_slots, claim=self._claim_for_coroutines)
        self._has_coroutines = any(runner.is_async for runner in runners.values())
        self._attendant = Attendant(self._completer, give_back=self._give_back_stuck)
        self._last_was_async, self._slack = False, Slack()
        self._grace = plan.grace
        self._ends: float | None = None

    def _sync_executor(self, plan: NodePlan) -> InlineExecutor[Job] | ThreadExecutor[Job]:
        if plan.inline:
            return InlineExecutor(self._run_job)
        return ThreadExecutor(self._run_job, slots=plan.slots, freed=self._freed.set)

    def _decider(self, writer: ResultWriter, crashes: CrashCounter) -> SecondRuns:
        return SecondRuns(
            self._broker,
            writer,
            self._ledger,
            self._completer,
            crashes=crashes,
            turning_away=self._turning_away,
            admission=self._admission,
            solitude=self._solitude,
            log=self._log,
        )

    def run(self) -> str | None:
        """Work until `stop`, then leave nothing behind: finish, complete, give back.

        Return None, or why another engine shall take the place of this one.
        """
        self._revoked.begin()
        self._sync.start()
        self._coroutines.start()
        self._attendant.start()
        if self._has_coroutines:
            self._side_claims.start()
        try:
            while not self._stopping.is_set and not self._wear.reason:
                self._cycle()
        except BaseException:
            logger.exception("The engine failed; it gives back what it has and ends")
            self._ends = time.monotonic() + _FAILED
            raise
        finally:
            self._stopping.set()
            self._shut_down()
        return self._wear.reason

    def stop(self, *, now: bool = False) -> None:
        """Take nothing more; finish what runs, within the grace. With `now` do not wait for what runs."""
        if now:
            self._ends = 0.0
        elif self._ends is None and self._grace is not None:
            self._ends = time.monotonic() + self._grace
        self._stopping.set()
        self._freed.set()
        self._consumer.wake()

    def lost(self, tags: Sequence[str]) -> None:
        """Take note that others have these deliveries now: what comes of them here is not stored."""
        logger.warning("%s leases were lost: other workers run these tasks now", len(tags))
        self._completer.drop(without((self._backlog, self._async_backlog.jobs), tags))

    def revoke(self, revocations: Sequence[Revocation]) -> Mapping[str, str]:
        """Know that these must not run; return the signals of those that run and are to end, by tag. Thread-safe."""
        self._revoked.add(revocations)
        return self._runs.end_revoked()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _cycle(self) -> None:
        self._feed()
        if self._stopping.is_set:
            return
        limit = self._limit()
        if limit == 0:
            self._freed.wait(1.0)
            self._freed.clear()
            return
        self._admit(self._claim(limit))

    def _limit(self) -> int:
        """Return how many to claim; 0 while there is no slot for another."""
        if self._backlog:
            return 0
        if self._last_was_async:
            return self._async_backlog.limit(self._coroutines.free)
        if self._async_backlog.jobs:
            return 0
        if (free := self._sync.free) == 0:
            return 0
        limit = self._claims.size if free == 1 else max(free, self._claims.size)  # that is at least 1
        return min(self._wear.tasks_left, limit) if self._wear.is_limited else limit

    def _claim(self, limit: int) -> Sequence[Delivery]:
        """Complete what has ended, and take what there is, or wait for it."""
        acks = self._completer.acks()  # first: results that do not go with the claim are stored by it
        freely = self._freely(limit)
        if acks is not None and (found := self._consumer.take_and_ack(acks, limit=limit, freely=freely)):
            return found
        if not self._completer.flush():
            self._attendant.watch()  # a store is away: somebody must try again while this thread is in a task
        self._slack.let_go()
        return self._consumer.take(limit=limit, freely=freely, wait=_IDLE_WAIT)

    def _freely(self, limit: int) -> int:
        """Return how many of these to take even if that leaves little for others: what can begin at once, or soon."""
        if self._last_was_async:
            return limit
        free = self._sync.free
        return self._claims.freely if free == 1 else max(free, self._claims.freely)

    def _admit(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        self._slack.note(len(deliveries))
        for delivery in deliveries:
            admitted = self._admission.admit(delivery, self._consumer.claim)
            if isinstance(admitted, Job):
                if self._log.tells(logging.INFO):
                    self._log.received(admitted.call.name, admitted.call.id)
                (self._async_backlog.jobs if admitted.runner.is_async else self._backlog).append(admitted)
            else:
                self._completer.add(self._turning_away.completion(admitted))
        self._last_was_async = bool(self._async_backlog.jobs) and not self._backlog
        if len(deliveries) > 1:  # one alone holds up no other, and this thread completes it when it has run
            self._attendant.watch(_HANDS_OFF)

    def _feed(self) -> None:
        """Start what was claimed, coroutines first: they do not block this thread."""
        waiting = self._async_backlog
        while waiting.jobs and self._coroutines.free and self._is_open():
            if (coroutine := waiting.next()) is None:
                break
            self._start(coroutine, self._coroutines)
        while self._backlog and self._sync.free and self._is_open():
            try:
                job = self._backlog.popleft()
            except IndexError:  # the attendant has just given the rest back
                return
            if self._inline and self._completer.waits() and (job.is_doubtful or self._is_time_to_complete()):
                self._completer.flush()
            if self._has_coroutines:
                self._side_claims.watch()
            self._start(job, self._sync)

    def _is_time_to_complete(self) -> bool:
        if self._claims.expected > _LONG:
            return True
        return self._completer.age > (_TELL if self._completer.is_awaited else _SETTLE)

    def _start(self, job: Job, executor: InlineExecutor[Job] | ThreadExecutor[Job] | CoroutineExecutor[Job]) -> None:
        backlog = self._async_backlog.jobs if job.runner.is_async else self._backlog
        runner = job.runner
        try:
            if not self._tenure.holds(job, backlog) or (job.is_doubtful and not self._second_runs.may_begin(job)):
                return
            is_held = runner.acks_late or job.acks_late
            if not (is_held or acked_early(job, self._broker, self._ledger, stopping=self._stopping)):
                return
            if runner.tracks_started and (record := runner.started_record(job.call)) is not None:
                self._completer.add(Completion(None, Settle.NOTHING, record))
                self._completer.flush()  # before the task can store a state of its own, which STARTED would hide
            executor.submit(job)
        finally:
            if self._solitude.is_wanted:
                self._solitude.end()

    # -- beside taken slots -----------------------------------------------------------------------------------------

    def _has_only_coroutine_slots(self) -> bool:
        taken = self._sync.free == 0 and self._sync.longest > _STUCK
        return taken and self._is_open() and self._coroutines.free > 0 and not self._async_backlog.jobs

    def _claim_for_coroutines(self) -> bool:
        """Claim for the event loop. False when there was work for slots, which is given back."""
        found_other = False
        for delivery in self._side_consumer.take(limit=min(self._coroutines.free, _SIDE), wait=_SIDE_WAIT):
            admitted = self._admission.admit(delivery, self._side_consumer.claim)
            if not isinstance(admitted, Job):
                self._completer.add(self._turning_away.completion(admitted))
            elif admitted.runner.is_async:
                self._start(admitted, self._coroutines)
            else:
                found_other = True
                self._completer.add(Completion(delivery.lease, Settle.REQUEUE))
        self._attendant.hurry()
        if self._stopping.is_set:
            self._consumer.wake()  # the interruption ended this wait and perhaps not the main thread's
        return not found_other

    # -- running ----------------------------------------------------------------------------------------------------

    def _run_job(self, job: Job) -> None:
        self._claims.note(self._runs.run(job))
        if not self._inline:
            self._complete_soon(self._sync.busy)

    async def _run_coroutine(self, job: Job) -> None:
        self._async_backlog.began(time.monotonic())
        self._async_backlog.ended(await self._runs.run_async(job, self._time_left))
        self._complete_soon(self._coroutines.busy)

    def _complete_soon(self, busy: int) -> None:
        """Have completed what ended beside the main thread: at once, or when others run that may end any moment."""
        if busy > 1:
            self._attendant.watch()
        else:
            self._attendant.hurry()

    # -- giving back ------------------------------------------------------------------------------------------------

    def _give_back_stuck(self) -> bool:
        """Give back what was claimed when the slots do not get free soon. True while there is something to watch."""
        if self._backlog and self._sync.free == 0 and self._sync.longest > _STUCK:
            self._give_back(self._backlog)
        if self._async_backlog.is_stuck(self._coroutines.free):
            self._give_back(self._async_backlog.jobs)
        return bool(self._backlog or self._async_backlog.jobs)

    def _give_back(self, backlog: deque[Job]) -> None:
        while backlog:
            try:
                job = backlog.popleft()
            except IndexError:  # the main thread took the last one
                break
            self._completer.add(Completion(job.delivery.lease, Settle.REQUEUE))
        self._attendant.hurry()

    def _give_back_one(self, job: Job) -> None:
        self._completer.add(Completion(job.delivery.lease, Settle.REQUEUE))
        self._attendant.hurry()

    def _time_left(self) -> Seconds | None:
        """Return how long what runs may go on; None for as long as it takes."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def _is_open(self) -> bool:
        """Tell whether tasks may begin here."""
        return not (self._stopping.is_set or self._wear.reason or self._solitude.is_wanted)

    def _busy(self) -> int:
        return self._sync.busy + self._coroutines.busy

    def _give_back_all(self) -> None:
        for backlog in (self._backlog, self._async_backlog.jobs):
            self._give_back(backlog)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        self._give_back_all()
        if self._has_coroutines:
            self._side_consumer.wake()
            self._side_claims.stop()
        for executor in (self._coroutines, self._sync):
            executor.stop(self._time_left)
        self._give_back_all()  # again: a thread that looked through one had it
        self._attendant.stop()
        if not self._completer.drain(_DRAIN):
            logger.error(
                "%s completions could not be stored in time; their tasks run again when their leases end.",
                self._completer.waiting,
            )


def _consumers(app: Celeriac, plan: NodePlan, ledger: Ledger, revoked: Revoked, *, index: int) -> partial[Consumer]:
    """Return what makes the consumers of an engine."""
    return partial(
        Consumer,
        app.broker,
        ledger,
        queues=plan.queues,
        lease=plan.lease,
        owner=plan.owner(index),
        clock=app.clock,
        revoked=revoked,
    )
