"""Running one task: request, handlers, signals, and what came of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from msgspec.structs import replace

from celeriac import signals, states
from celeriac.app.context import Context, running
from celeriac.app.error_info import ErrorInfo, frames_of, traceback_of
from celeriac.app.task import Task
from celeriac.clock import Clock
from celeriac.exceptions import Ignore, Reject, Retry, TaskError, TaskRevokedError, Terminated
from celeriac.interfaces.broker import Delivery, Outgoing
from celeriac.interfaces.executor import TimeLeft
from celeriac.interfaces.results import ResultRecord
from celeriac.result.joining import joining_forbidden
from celeriac.result.writer import ResultWriter
from celeriac.settings.conf import Settings
from celeriac.types import Seconds
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall
from celeriac.worker.acks import acks_failures, given_or
from celeriac.worker.copies import Copy
from celeriac.worker.limits import SoftLimits, is_cancelled, limited
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.revoked import Revoked
from celeriac.worker.sequel import Sequel, Sequels, has_sequel
from celeriac.worker.shortage import let_go
from celeriac.worker.task_log import TaskLog, shown
from celeriac.worker.telling import tell_failure, tell_internal_error, tell_revoked, tell_start, tell_that_it_ran

# Looked up once: in Python 3.11 each of these takes several hundred instructions to look up.
_ACK: Final = Settle.ACK
_moment: Final = datetime.fromtimestamp
_begin, _end = running.set, running.reset
_forbid_joining, _allow_joining = joining_forbidden.set, joining_forbidden.reset
_MOST_SAID: Final = 200
"""Characters of an error in the reason of a dead letter."""


class Runnable(Protocol):
    """What a runner needs of a job."""

    @property
    def call(self) -> TaskCall: ...

    @property
    def delivery(self) -> Delivery: ...


class TaskRunner:
    """Runs one task, again and again. Everything that is the same for each run is looked up once, here.

    Thread-safe: what belongs to one run is kept in its `Context`.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        task: Task[..., Any],
        conf: Settings,
        *,
        writer: ResultWriter,
        log: TaskLog,
        hostname: str,
        clock: Clock,
        sequels: Sequels,
        revoked: Revoked,
        tells_deaths: bool = False,
    ) -> None:
        kind = type(task)
        self.task = task
        self._wrapper = task if task.wraps_runs else None
        self._call: Callable[..., Any] = self._wrapper or task.run
        self.is_async = task.is_async
        self.acks_late = conf.task_acks_late if task.acks_late is None else task.acks_late
        self._tells_deaths = tells_deaths
        self._acks_failures = acks_failures(task, conf)
        self._ignore_result = conf.task_ignore_result if task.ignore_result is None else task.ignore_result
        self._stores_errors = given_or(task.store_errors_even_if_ignored, conf.task_store_errors_even_if_ignored)
        self._soft_limit = conf.task_soft_time_limit if task.soft_time_limit is None else task.soft_time_limit
        self._hard_limit = conf.task_time_limit if task.time_limit is None else task.time_limit
        self.ends_with_its_worker = given_or(task.reject_on_worker_lost, conf.task_reject_on_worker_lost) is False
        """Whether the death of its worker is the end of the task; by default it runs again."""
        self._auto_retry = task.auto_retry()
        self._before = task.before_start if kind.before_start is not Task.before_start else None
        self._on_success = task.on_success if kind.on_success is not Task.on_success else None
        self._on_failure = task.on_failure if kind.on_failure is not Task.on_failure else None
        self._on_retry = task.on_retry if kind.on_retry is not Task.on_retry else None
        self._after = task.after_return if kind.after_return is not Task.after_return else None
        self._copy = Copy()
        self._sequels = sequels
        self._revoked = revoked
        self._writer = writer
        self._keeps_results = writer.keeps_results
        self.tracks_started = self._keeps_results and given_or(task.track_started, conf.task_track_started)
        """Whether the state STARTED is stored, but for calls that want no results."""
        self._log = log
        self._hostname = hostname
        self._now = clock.now

    # -- the run ----------------------------------------------------------------------------------------------------

    def run(self, job: Runnable, limits: SoftLimits) -> Completion:
        """Run the task here and return what follows. Never raises."""
        context = Context(job.call, job.delivery, self._hostname, called_directly=False, calls=self._wrapper)
        token, forbidden = _begin(context), _forbid_joining(True)
        started = time.perf_counter()
        try:
            try:
                value = self._run_now(context, job, limits)
            except BaseException as error:  # noqa: BLE001  every end of the user's code is recorded
                return self._raised(context, error)
            if self._copy.is_one:
                self._copy.end(job.call, None)
            return self._succeeded(job, context, value, time.perf_counter() - started)
        finally:
            _allow_joining(forbidden)
            _end(token)

    async def run_async(self, job: Runnable, time_left: TimeLeft) -> Completion:
        """Run an ``async def`` task on the running loop; otherwise as `run`.

        What is cancelled when the engine has no time left is given back; before that it was by others: it has failed.
        """
        context = Context(job.call, job.delivery, self._hostname, called_directly=False, calls=self._wrapper)
        _begin(context)
        _forbid_joining(True)
        started = time.perf_counter()
        try:
            self._announce(context)
            soft, hard = self.soft_limit(job.call), self.hard_limit(job.call)
            running_call = self._call(*job.call.args, **job.call.kwargs)
            value = await (running_call if soft is hard is None else limited(running_call, soft=soft, hard=hard))
        except BaseException as error:  # noqa: BLE001  every end of the user's code is recorded
            if not self._copy.is_one and is_cancelled(error, time_left) and not self._revoked.ends(job.call):
                let_go(error)
                return self._cancelled(context, error, time.perf_counter() - started)
            return self._raised(context, error)
        if self._copy.is_one:
            self._copy.end(job.call, None)
        return self._succeeded(job, context, value, time.perf_counter() - started)

    def broken(self, job: Runnable, error: BaseException) -> Completion:
        """Return what follows when this runner itself failed: the task has failed, and says of what."""
        let_go(error)
        self._log.broken(job.call.name, job.call.id, error)
        tell_internal_error(self.task, job, error)
        reason = TaskError(f"The end of the task could not be recorded: {shown(error, _MOST_SAID)}")
        done = _moment(self._now(), UTC)
        result = TaskResult(task_id=job.call.id, state=states.FAILURE, result=reason, date_done=done)
        record = self._writer.record_of_error(result, job.call.reply_to) if self._keeps_results else None
        sequel = self._sequels.of_broken_run(job.call, reason)
        lease = job.delivery.lease if self.is_acked_late(job.call) else None
        return Completion(lease, Settle.ACK, record, () if sequel is None else sequel.messages, sequel=sequel)

    def is_acked_late(self, call: TaskCall) -> bool:
        """Tell whether its message is held while it runs.

        With ``acks_late=False`` too, if a workflow waits for it and deaths are noticed: who has it then ends the task.
        """
        return self.acks_late or (self._tells_deaths and has_sequel(call))

    def is_once(self, call: TaskCall) -> bool:
        """Tell whether the death of its worker is its end, and somebody has to be told of that."""
        if self.acks_late:
            return False
        return self.is_acked_late(call) or (self._keeps_results and not self._ignores(call))

    def soft_limit(self, call: TaskCall) -> Seconds | None:
        """Return after how many seconds the task is told that it runs too long; None for never."""
        return self._soft_limit if call.soft_time_limit is None else call.soft_time_limit

    def hard_limit(self, call: TaskCall) -> Seconds | None:
        """Return after how many seconds the task is ended; None for never."""
        return self._hard_limit if call.time_limit is None else call.time_limit

    def started_record(self, call: TaskCall) -> ResultRecord | None:
        """Return the state STARTED to store, None where that is not wanted."""
        if not self.tracks_started or self._ignores(call):
            return None
        started = TaskResult(call.id, states.STARTED, {"pid": os.getpid(), "hostname": self._hostname})
        return self._writer.record(started, call.reply_to)

    def _run_now(self, context: Context, job: Runnable, limits: SoftLimits) -> Any:
        call = job.call
        try:
            soft = self._soft_limit if call.soft_time_limit is None else call.soft_time_limit
            limits.arm(soft or None, job.delivery.lease.tag)
            # Since it was admitted, and before it could be found as running:
            if not self._revoked.is_empty and self._revoked.ends(call):
                raise Terminated
            if self._before is not None or signals.task_prerun.receivers:
                self._announce(context)
            return self._call(*call.args, **call.kwargs) if call.kwargs else self._call(*call.args)
        finally:
            limits.disarm()

    def _announce(self, context: Context) -> None:
        if signals.task_prerun.receivers:
            tell_start(self.task, context)
        if self._before is not None:
            self._before(context.call.id, context.args, context.kwargs)

    # -- its end ----------------------------------------------------------------------------------------------------

    def _succeeded(self, job: Runnable, context: Context, value: Any, runtime: float) -> Completion:
        call, sequel = job.call, None
        try:
            if call.chain or call.callbacks or call.chord:
                sequel = self._sequels.of_success(call, value)
                context.children += sequel.children
            record = self._record(context, states.SUCCESS, value)
        except Exception as error:  # noqa: BLE001  of the encoder, of routes and signals of the user's for what follows
            return self._failed_for_good(context, error)
        if self._log.tells(logging.INFO):
            self._log.succeeded(self.task, context, value, runtime)
        if self._on_success is not None:
            self._handler(context, self._on_success, value, call.id, call.args, call.kwargs)
        if signals.task_success.receivers:
            signals.task_success.send(sender=self.task, result=value, runtime=runtime)
        if self._after is not None or signals.task_postrun.receivers:
            self._return(context, states.SUCCESS, value, None)
        if sequel is None and self.acks_late and not context.follow_ups:
            return Completion(job.delivery.lease, _ACK, record)
        return self._completion(context, record=record, sequel=sequel)

    def _raised(self, context: Context, error: BaseException) -> Completion:
        if self._copy.is_one:
            self._copy.end(context.call, error)
        let_go(error)
        return self._failed(context, error)

    def _failed(self, context: Context, error: BaseException) -> Completion:
        revocation = self._revoked.ends(context.call)
        if revocation is not None:
            return self._ended(context, revocation.signal)
        if isinstance(error, Retry):
            return self._retried(context, error)
        if isinstance(error, Ignore):
            return self._ignored(context, error)
        if isinstance(error, Reject):
            return self._rejected(context, error)
        again = self._retry_by_policy(context, error)
        if isinstance(again, Retry):
            return self._retried(context, again)
        return self._failed_for_good(context, again)

    def _ignored(self, context: Context, error: Ignore) -> Completion:
        """Leave the task's state alone. What waits for its value has ended, unless another takes its place."""
        try:
            sequel = self._sequels.of_ignored(context.call, error)
        except Exception as problem:  # noqa: BLE001  as in `_succeeded`
            return self._failed_for_good(context, problem)
        self._log.ignored(context)
        tell_that_it_ran(self.task, context, states.IGNORED, error)
        return self._completion(context, sequel=sequel)

    def _after_failure(self, context: Context, error: BaseException, trace: str | None = None) -> Sequel | None:
        return self._sequels.of_failure(context.call, error, trace=trace) if has_sequel(context.call) else None

    def _retry_by_policy(self, context: Context, error: BaseException) -> BaseException:
        """Return the `Retry` that ``autoretry_for`` makes of the error, or what the task fails with."""
        policy = self._auto_retry
        if policy is None or not policy.covers(error):
            return error
        options, own = dict(policy.options), frames_of(error)
        countdown = policy.countdown(context.retries)
        if countdown is not None:
            options["countdown"] = countdown
        try:
            return self.task.retry(exc=error if isinstance(error, Exception) else None, throw=True, **options)
        except BaseException as outcome:  # noqa: BLE001  Retry, or the error when tries are used up
            return outcome.with_traceback(own) if outcome is error else outcome

    def _retried(self, context: Context, retry: Retry) -> Completion:
        if retry.outgoing is None:
            return self._failed_for_good(context, retry)
        if not self._revoked.is_empty and self._revoked.of(context.call):
            context.follow_ups = [one for one in context.follow_ups if one is not retry.outgoing]
            return self._ended(context)
        reason = retry.exc if retry.exc is not None else retry
        info = ErrorInfo(reason, traceback_of(reason if frames_of(reason) is not None else retry, runner=__file__))
        record = self._record(context, states.RETRY, reason, info.traceback)
        self._log.retried(self.task, context, retry)
        if self._on_retry is not None:
            self._handler(context, self._on_retry, reason, context.call.id, context.args, context.kwargs, info)
        if signals.task_retry.receivers:
            signals.task_retry.send(sender=self.task, request=context, reason=retry, einfo=info)
        tell_that_it_ran(self.task, context, states.RETRY, retry)
        sends = [] if retry.outgoing in context.follow_ups else [retry.outgoing]  # raise self.retry(throw=False)
        sequel = Sequel(call=context.call) if has_sequel(context.call) else None
        return self._completion(context, record=record, follow_ups=sends, sequel=sequel)

    def _rejected(self, context: Context, reject: Reject) -> Completion:
        """Give the message back, or make it a dead letter: then the task has failed, and nobody waits in vain."""
        self._log.rejected(self.task, context, reject)
        record = None if reject.requeue else self._record(context, states.FAILURE, reject)
        sequel = None if reject.requeue else self._after_failure(context, reject)
        if not reject.requeue:
            tell_failure(self.task, context, ErrorInfo(reject, traceback_of(reject, runner=__file__)))
        tell_that_it_ran(self.task, context, states.REJECTED, reject)
        settle = Settle.REQUEUE if reject.requeue else Settle.REJECT
        reason = f"rejected by the task: {shown(reject.reason, _MOST_SAID, plain=True)}"
        return self._completion(context, record=record, settle=settle, reason=reason, sequel=sequel)

    def _failed_for_good(self, context: Context, error: BaseException) -> Completion:
        info = ErrorInfo(error, traceback_of(error, runner=__file__))
        record = self._record(context, states.FAILURE, error, info.traceback)
        sequel = self._after_failure(context, error, info.traceback)
        self._log.failed(self.task, context, info, expected=isinstance(error, tuple(self.task.throws)))
        if self._on_failure is not None:
            self._handler(context, self._on_failure, error, context.call.id, context.args, context.kwargs, info)
        tell_failure(self.task, context, info)
        self._return(context, states.FAILURE, error, info)
        if self._acks_failures:
            return self._completion(context, record=record, sequel=sequel)
        reason = f"the task failed: {shown(error, _MOST_SAID)}"
        return self._completion(context, record=record, settle=Settle.REJECT, reason=reason, sequel=sequel)

    def _ended(self, context: Context, signal: str = "") -> Completion:
        """Return what follows a task that was revoked while it ran: with a signal, however it went wrong after that."""
        call, error = context.call, TaskRevokedError("terminated" if signal else "revoked")
        record = self._record(context, states.REVOKED, error)
        sequel = self._sequels.of_failure(call, error, state=states.REVOKED) if has_sequel(call) else None
        self._log.ended(context, signal)
        tell_revoked(self.task, context, signal=signal)
        tell_that_it_ran(self.task, context, states.REVOKED, error)
        return self._completion(context, record=record, sequel=sequel)

    def _cancelled(self, context: Context, error: BaseException, runtime: float) -> Completion:
        """Give back a coroutine that the engine cancelled to stop; it will run again elsewhere."""
        self._log.cancelled(context, runtime)
        tell_that_it_ran(self.task, context, states.RETRY, error)
        return self._completion(context, settle=Settle.REQUEUE)

    # -- parts of an end --------------------------------------------------------------------------------------------

    def _completion(  # noqa: PLR0913  the parts of an end
        self,
        context: Context,
        *,
        record: ResultRecord | None = None,
        settle: Settle = Settle.ACK,
        follow_ups: list[Outgoing] | None = None,
        reason: str = "",
        sequel: Sequel | None = None,
    ) -> Completion:
        delivery = context.delivery
        is_held = self.acks_late or self.is_acked_late(context.call)
        lease = delivery.lease if is_held and delivery is not None else None
        settle = settle if self.acks_late else Settle.ACK
        sends = [*context.follow_ups, *(follow_ups or ())]
        if sends and delivery is not None and delivery.redelivered:
            sends = self._sequels.again(sends)  # a retry, which an earlier run may have sent
        if sequel is None:
            return Completion(lease, settle, record, sends, reason=reason)
        return Completion(lease, settle, record, [*sends, *sequel.messages], reason=reason, sequel=sequel)

    def _record(self, context: Context, state: str, value: Any, trace: str | None = None) -> ResultRecord | None:
        call = context.call
        failed = state in states.EXCEPTION_STATES
        ignores = self._ignore_result if call.ignore_result is None else call.ignore_result
        if (ignores and not (failed and self._stores_errors)) or not self._keeps_results:
            return None
        children = context.children
        if children:
            children = [child.as_tuple() for child in children]
        done = _moment(self._now(), UTC)
        result = TaskResult(call.id, state, value, trace, children, done, call.group_id, call.parent_id)
        if self._writer.extended:
            queue = context.delivery.lease.queue if context.delivery else None
            own = {"name": call.name, "args": call.args, "kwargs": call.kwargs, "retries": call.retries}
            result = replace(result, worker=self._hostname, queue=queue, **own)
        return (self._writer.record_of_error if failed else self._writer.record)(result, call.reply_to)

    def _ignores(self, call: TaskCall) -> bool:
        return self._ignore_result if call.ignore_result is None else call.ignore_result

    def _return(self, context: Context, state: str, value: Any, info: ErrorInfo | None) -> None:
        if self._after is not None:
            self._handler(context, self._after, state, value, context.call.id, context.args, context.kwargs, info)
        tell_that_it_ran(self.task, context, state, value)

    def _handler(self, context: Context, handler: Any, *args: Any) -> None:
        """Call a handler of the user's. The task has ended: an error in the handler is logged and changes nothing."""
        try:
            handler(*args)
        except BaseException as error:  # noqa: BLE001  the user's code
            self._log.handler_failed(context, handler, error)
