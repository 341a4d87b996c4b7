"""The signals of tasks: who listens learns how a run ended."""

from __future__ import annotations

from typing import Any

from celeriac import signals
from celeriac.app.context import Context
from celeriac.app.error_info import ErrorInfo, frames_of
from celeriac.app.task import Task
from celeriac.wire.control import signal_number


def tell_start(task: Task[..., Any], context: Context) -> None:
    """Tell that a task begins. Called only where somebody listens."""
    signals.task_prerun.send(sender=task, task_id=context.id, task=task, args=context.args, kwargs=context.kwargs)


def tell_failure(task: Task[..., Any], context: Context, info: ErrorInfo) -> None:
    """Tell that a task has failed."""
    if signals.task_failure.receivers:
        signals.task_failure.send(
            sender=task,
            task_id=context.id,
            exception=info.exception,
            args=context.args,
            kwargs=context.kwargs,
            traceback=frames_of(info.exception),
            einfo=info,
        )


def tell_revoked(sender: Any, request: Any, *, signal: str = "", expired: bool = False) -> None:
    """Tell of a task that was revoked, or had expired. `signal` is there for one that ran and was ended."""
    if signals.task_revoked.receivers:
        number = signal_number(signal) if signal else None
        signals.task_revoked.send(
            sender=sender, request=request, terminated=bool(signal), signum=number, expired=expired
        )


def tell_that_it_ran(task: Task[..., Any], context: Context, state: str, value: Any) -> None:
    """Tell that a run is over, however it ended."""
    if signals.task_postrun.receivers:
        signals.task_postrun.send(
            sender=task,
            task_id=context.id,
            task=task,
            args=context.args,
            kwargs=context.kwargs,
            retval=value,
            state=state,
        )


def tell_internal_error(task: Task[..., Any], job: Any, error: BaseException) -> None:
    """Tell that the end of a run could not be recorded as it was."""
    if signals.task_internal_error.receivers:
        signals.task_internal_error.send(
            sender=task,
            task_id=job.call.id,
            args=job.call.args,
            kwargs=job.call.kwargs,
            request=job,
            exception=error,
            traceback=frames_of(error),
            einfo=None,
        )
