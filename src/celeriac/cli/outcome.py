"""What became of a task, for people and for scripts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Self

import click

from celeriac import states
from celeriac.cli.errors import FAILURE
from celeriac.cli.output import write_json
from celeriac.exceptions import TimeoutError
from celeriac.result.handle import AsyncResult

_UNKNOWN: Final = "it has not begun, its result has expired, or nobody knows this id."


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task's state as read once. `result` is the value, the error as text, or what the task said of its progress."""

    id: str
    state: str
    result: Any
    exception: str | None
    """The class of the error, None where there is none."""
    traceback: str | None
    date_done: datetime | None

    @classmethod
    def wait_for(cls, handle: AsyncResult[Any], *, timeout: float) -> Self:
        """Wait up to `timeout` seconds for the task to end, and read its state in any case."""
        with suppress(TimeoutError):  # the state below says how far it is
            handle.get(timeout=timeout, propagate=False)
        result, exception = handle.result, None
        if isinstance(result, BaseException):
            exception = type(result).__name__
            result = f"{type(result).__name__}: {result}"
        return cls(handle.id, handle.state, result, exception, handle.traceback, handle.date_done)

    def show(self, *, as_json: bool = False, traceback: bool = False, pending: str = _UNKNOWN) -> None:
        """Print it, `pending` for a task without a state; leave with exit code 1 unless the task succeeded."""
        if as_json:
            write_json(asdict(self))
        elif self.state == states.SUCCESS:
            click.echo(self.result if isinstance(self.result, str) else repr(self.result))
        else:
            self._explain(traceback=traceback, pending=pending)
        if self.state != states.SUCCESS:
            raise click.exceptions.Exit(FAILURE)

    def _explain(self, *, traceback: bool, pending: str) -> None:
        if traceback and self.traceback:
            click.echo(self.traceback.rstrip())
        elif self.state in states.EXCEPTION_STATES:
            click.echo(f"{self.state}: {self.result}")
        elif self.state == states.PENDING:
            click.echo(f"PENDING: {pending}", err=True)
        else:
            progress = "" if self.result is None else f": {self.result!r}"
            click.echo(f"{self.state}{progress}")
