"""Running a task here and now instead of sending it: `Task.apply`, and every call with ``task_always_eager``.

The meaning of an end is a worker's (`celeriac.worker.run`). There is no message and no lease, so what a worker does
with these is left out, and errors of handlers are the caller's.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime
from types import CoroutineType
from typing import Any, Final, Protocol

from celeriac import signals, states
from celeriac.app.context import Context, running
from celeriac.app.error_info import ErrorInfo, traceback_of
from celeriac.app.host import Host
from celeriac.app.retrying import AutoRetry
from celeriac.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
from celeriac.result.eager import EagerResult
from celeriac.types import Args, Kwargs
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall

_MOST_TRIES: Final = 1000
"""Tries of one call, one right after the other, before a task with ``max_retries=None`` is taken to fail for ever."""


class EagerTask(Protocol):
    """What running here needs of a task; see `celeriac.app.task.Task`."""

    name: str
    run: Callable[..., Any]
    ignore_result: bool | None
    store_eager_result: bool | None

    @property
    def app(self) -> Host: ...
    @property
    def wraps_runs(self) -> bool: ...
    @property
    def retry(self) -> Callable[..., Retry]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def auto_retry(self) -> AutoRetry | None: ...
    def before_start(self, task_id: str, args: Args, kwargs: Kwargs) -> None: ...
    def on_success(self, retval: Any, task_id: str, args: Args, kwargs: Kwargs) -> None: ...
    def on_failure(self, exc: BaseException, task_id: str, args: Args, kwargs: Kwargs, einfo: Any) -> None: ...
    def on_retry(self, exc: BaseException, task_id: str, args: Args, kwargs: Kwargs, einfo: Any) -> None: ...
    def after_return(  # noqa: PLR0913  Celery's signature
        self, status: str, retval: Any, task_id: str, args: Args, kwargs: Kwargs, einfo: Any
    ) -> None: ...


def run_eagerly(
    task: EagerTask,
    call: TaskCall,
    *,
    throw: bool | None = None,
    loglevel: int | None = None,
    logfile: str | None = None,
) -> EagerResult[Any]:
    """Run a call here; see `EagerRun.run`. `throw` None leaves it to ``task_eager_propagates``."""
    if throw is None:
        throw = task.app.conf.task_eager_propagates
    return EagerRun(task, throw=throw, loglevel=loglevel, logfile=logfile).run(call)


class EagerRun:
    """A call that runs here, with its retries. With `throw` its errors are raised."""

    def __init__(self, task: EagerTask, *, throw: bool, loglevel: int | None, logfile: str | None) -> None:
        self._task = task
        self._enter: Callable[..., Any] = task if task.wraps_runs else task.run
        self._throw = throw
        self._loglevel = loglevel
        self._logfile = logfile
        self._auto_retry = task.auto_retry()

    def run(self, call: TaskCall) -> EagerResult[Any]:
        """Run the call, again as often as it asks for a retry, without pauses; return how it ended.

        With `throw` its error is raised, a `Retry` too, as in Celery. `Ignore` and `Reject` are states and never
        raised; errors of handlers always are, and so is what is no `Exception` (SystemExit).
        """
        for _ in range(_MOST_TRIES):
            end = self._try(call)
            if isinstance(end, TaskResult):
                return EagerResult(end, self._task.app.reader)
            call = end
        raise MaxRetriesExceededError(
            f"{call.name}[{call.id}] was tried {_MOST_TRIES} times here without an end: set max_retries.",
            task_args=call.args,
            task_kwargs=call.kwargs,
        )

    def _try(self, call: TaskCall) -> TaskResult | TaskCall:
        """Run once; return the end, or the call to try next."""
        context = Context(call, hostname=platform.node(), called_directly=False, is_eager=True)
        context.calls = self._task if self._task.wraps_runs else None
        context.loglevel, context.logfile = self._loglevel, self._logfile
        token, started = running.set(context), time.perf_counter()
        try:
            try:
                self._announce(context)
                value = finished(self._enter(*call.args, **call.kwargs))
            except Exception as error:  # noqa: BLE001  every end of the user's code is told
                return self._failed(context, error)
            return self._succeeded(context, value, time.perf_counter() - started)
        finally:
            running.reset(token)

    def _announce(self, context: Context) -> None:
        call = context.call
        signals.task_prerun.send(
            sender=self._task, task_id=call.id, task=self._task, args=call.args, kwargs=call.kwargs
        )
        self._task.before_start(call.id, call.args, call.kwargs)

    def _succeeded(self, context: Context, value: Any, runtime: float) -> TaskResult:
        call, task = context.call, self._task
        end = self._store(context, states.SUCCESS, value)
        task.on_success(value, call.id, call.args, call.kwargs)
        signals.task_success.send(sender=task, result=value, runtime=runtime)
        task.after_return(states.SUCCESS, value, call.id, call.args, call.kwargs, None)
        self._say_it_ran(context, states.SUCCESS, value)
        return end

    def _failed(self, context: Context, error: Exception) -> TaskResult | TaskCall:
        if isinstance(error, Ignore | Reject):
            state = states.IGNORED if isinstance(error, Ignore) else states.REJECTED
            self._say_it_ran(context, state, error)
            return self._end(context, state, error, _told(error))
        outcome = self._retry_by_policy(context, error)
        if self._throw:
            self._say_it_ran(context, states.RETRY if isinstance(outcome, Retry) else states.FAILURE, outcome)
            raise outcome
        if isinstance(outcome, Retry) and isinstance(outcome.outgoing, TaskCall):
            self._retried(context, outcome)
            return outcome.outgoing
        return self._failed_for_good(context, outcome)

    def _retry_by_policy(self, context: Context, error: Exception) -> Exception:
        """Return the `Retry` that ``autoretry_for`` makes of the error, or what the task fails with."""
        policy = self._auto_retry
        if policy is None or isinstance(error, Retry) or not policy.covers(error):
            return error
        options, own = dict(policy.options), error.__traceback__
        countdown = policy.countdown(context.retries)
        if countdown is not None:
            options["countdown"] = countdown
        try:
            return self._task.retry(exc=error, **options)
        except Exception as outcome:  # noqa: BLE001  Retry, or the error when tries are used up
            return outcome.with_traceback(own) if outcome is error else outcome

    def _retried(self, context: Context, retry: Retry) -> None:
        call = context.call
        reason = retry.exc if retry.exc is not None else retry
        info = ErrorInfo(reason, _told(reason if reason.__traceback__ is not None else retry))
        self._store(context, states.RETRY, reason, info.traceback)
        self._task.on_retry(reason, call.id, call.args, call.kwargs, info)
        signals.task_retry.send(sender=self._task, request=context, reason=retry, einfo=info)
        self._say_it_ran(context, states.RETRY, retry)

    def _failed_for_good(self, context: Context, error: Exception) -> TaskResult:
        call, task = context.call, self._task
        info = ErrorInfo(error, _told(error))
        end = self._store(context, states.FAILURE, error, info.traceback)
        task.on_failure(error, call.id, call.args, call.kwargs, info)
        signals.task_failure.send(
            sender=task,
            task_id=call.id,
            exception=error,
            args=call.args,
            kwargs=call.kwargs,
            traceback=error.__traceback__,
            einfo=info,
        )
        task.after_return(states.FAILURE, error, call.id, call.args, call.kwargs, info)
        self._say_it_ran(context, states.FAILURE, error)
        return end

    def _say_it_ran(self, context: Context, state: str, value: Any) -> None:
        call = context.call
        signals.task_postrun.send(
            sender=self._task,
            task_id=call.id,
            task=self._task,
            args=call.args,
            kwargs=call.kwargs,
            retval=value,
            state=state,
        )

    def _store(self, context: Context, state: str, value: Any, trace: str | None = None) -> TaskResult:
        """Return the state, written to the result store where ``task_store_eager_result`` asks for it."""
        end = self._end(context, state, value, trace)
        if stores_eager_results(self._task) and not self._ignores(context.call):
            writer, failed = self._task.app.writer, state in states.EXCEPTION_STATES
            writer.store([writer.record_of_error(end) if failed else writer.record(end)])
        return end

    def _end(self, context: Context, state: str, value: Any, trace: str | None) -> TaskResult:
        call = context.call
        done = datetime.now(UTC) if state in states.READY_STATES else None
        return TaskResult(
            task_id=call.id,
            state=state,
            result=value,
            traceback=trace,
            children=[child.as_tuple() for child in context.children],
            date_done=done,
            parent_id=call.parent_id,
            name=call.name,
            args=call.args,
            kwargs=call.kwargs,
            retries=call.retries,
        )

    def _ignores(self, call: TaskCall) -> bool:
        own = self._task.ignore_result
        default = self._task.app.conf.task_ignore_result if own is None else own
        return default if call.ignore_result is None else call.ignore_result


def stores_eager_results(task: EagerTask) -> bool:
    """Tell whether what a run in the caller comes to is stored, by the task's own word or the settings'."""
    own = task.store_eager_result
    return task.app.conf.task_store_eager_result if own is None else own


def _told(error: BaseException) -> str:
    return traceback_of(error, runner=__file__)


def finished(value: Any) -> Any:
    """Return the value, or what a coroutine returns; where a loop runs in this thread, it runs in another one."""
    if not isinstance(value, CoroutineType):
        return value
    # asyncio costs 40 of the 60 ms that `import celeriac` may take (ADR 0004); a coroutine is here.
    import asyncio  # noqa: PLC0415
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(value)
    with ThreadPoolExecutor(1, thread_name_prefix="celeriac-eager") as thread:
        return thread.submit(copy_context().run, asyncio.run, value).result()
