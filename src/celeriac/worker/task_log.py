"""The lines that a worker writes about tasks: Celery's, so that what reads logs goes on working."""

from __future__ import annotations

import logging
from typing import Any

from celeriac.app.context import Context
from celeriac.app.error_info import ErrorInfo, traceback_of
from celeriac.app.task import Task
from celeriac.exceptions import Reject, Retry
from celeriac.wire.errors import names_of

logger = logging.getLogger("celeriac.task")


class TaskLog:
    """Writes a task's ends. Values are shown up to the task's ``resultrepr_maxsize`` characters. Thread-safe.

    Every record has the fields task_id and task_name. Those that are written for each task want to be asked for by
    `tells` before, since most workers do not write them.
    """

    def __init__(self) -> None:
        self.tells = logger.isEnabledFor
        """Tells whether lines of a level are written."""

    def received(self, context_name: str, task_id: str) -> None:
        """Write that a task has come."""
        logger.info("Task %s[%s] received", context_name, task_id, extra=_fields(context_name, task_id))

    def lost(self, name: str, task_id: str, reason: str) -> None:
        """Write that a task is not run again."""
        logger.error("Task %s[%s] is not run again: %s", name, task_id, reason, extra=_fields(name, task_id))

    def broken(self, name: str, task_id: str, error: BaseException) -> None:
        """Write that the end of a task could not be recorded as it was."""
        text = "Task %s[%s]: its end could not be recorded as it was\n%s"
        logger.error(text, name, task_id, traceback_of(error, runner="").rstrip(), extra=_fields(name, task_id))

    def succeeded(self, task: Task[..., Any], context: Context, value: Any, runtime: float) -> None:
        text = shown(value, task.resultrepr_maxsize)
        self._write(logging.INFO, "Task %s[%s] succeeded in %ss: %s", context, runtime, text)

    def failed(self, task: Task[..., Any], context: Context, info: ErrorInfo, *, expected: bool) -> None:
        error = shown(info.exception, task.resultrepr_maxsize)
        if expected:
            self._write(logging.INFO, "Task %s[%s] raised expected: %s", context, error)
        else:
            text = "Task %s[%s] raised unexpected: %s\n%s"
            self._write(logging.ERROR, text, context, error, info.traceback.rstrip())

    def retried(self, task: Task[..., Any], context: Context, retry: Retry) -> None:
        self._write(logging.INFO, "Task %s[%s] retry: %s", context, shown(retry, task.resultrepr_maxsize, plain=True))

    def ignored(self, context: Context) -> None:
        self._write(logging.INFO, "Task %s[%s] ignored", context)

    def rejected(self, task: Task[..., Any], context: Context, reject: Reject) -> None:
        reason = shown(reject.reason, task.resultrepr_maxsize)
        self._write(logging.WARNING, "Task %s[%s] rejected: %s", context, reason)

    def cancelled(self, context: Context, runtime: float) -> None:
        self._write(logging.WARNING, "Task %s[%s] given back after %ss: the worker stops", context, runtime)

    def ended(self, context: Context, signal: str) -> None:
        why = f"ended ({signal})" if signal else "not tried again"
        self._write(logging.INFO, "Task %s[%s] was revoked and is %s", context, why)

    def handler_failed(self, context: Context, handler: Any, error: BaseException) -> None:
        name = getattr(handler, "__name__", repr(handler))
        fields = _fields(context.task, context.id)
        text = "Task %s[%s]: its handler %s failed"
        logger.error(text, context.task, context.id, name, exc_info=error, extra=fields)

    def _write(self, level: int, text: str, context: Context, *values: Any) -> None:
        logger.log(level, text, context.task, context.id, *values, extra=_fields(context.task, context.id))


def _fields(name: str | None, task_id: str | None) -> dict[str, Any]:
    return {"task_name": name, "task_id": task_id}


def shown(value: Any, most: int, *, plain: bool = False) -> str:
    """Return the value's repr, or with `plain` its text, in at most so many characters. Never raises."""
    try:
        text = str(value) if plain else repr(value)
    except BaseException as error:  # noqa: BLE001  the user's __repr__
        text = f"<{_class_name(value)} whose repr failed: {_class_name(error)}>"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _class_name(value: Any) -> str:
    return names_of(type(value))[1].rpartition(".")[2]
