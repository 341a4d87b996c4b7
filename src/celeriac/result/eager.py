"""The result of a task that ran here and now (`celeriac.app.eager`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from celeriac import states
from celeriac.exceptions import TaskRevokedError
from celeriac.result.handle import AsyncResult, R_co
from celeriac.result.reader import ResultReader
from celeriac.wire.results import TaskResult


class EagerResult(AsyncResult[R_co]):
    """A result that is there already; no store is asked. `get` raises the very exception that the task raised.

    Ignored and rejected tasks have the states IGNORED and REJECTED, and None as value.
    """

    __slots__ = ()

    def __init__(self, end: TaskResult, reader: ResultReader) -> None:
        super().__init__(end.task_id, reader)
        self._end = end

    def ready(self) -> bool:
        return True

    def forget(self) -> None:
        """Do nothing: there is nothing to remove."""

    def revoke(self, *_args: Any, **_kwargs: Any) -> None:
        """Note that it was revoked, as Celery does: the task has run, but how it ended is not known any more."""
        error = TaskRevokedError("revoked")
        self._end = TaskResult(task_id=self.id, state=states.REVOKED, result=error)

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def _value(self, end: TaskResult, *, propagate: bool, callback: Callable[[str, Any], Any] | None) -> R_co:
        if propagate and end.state in states.PROPAGATE_STATES:
            raise end.result
        value = end.result if end.state == states.SUCCESS or end.state in states.PROPAGATE_STATES else None
        if callback is not None:
            callback(self.id, value)
        return cast("R_co", value)
