"""Writing results: how long they live, in which form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from celeriac import states
from celeriac.clock import Clock
from celeriac.exceptions import EncodeError
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.types import Seconds
from celeriac.wire import errors
from celeriac.wire import results as wire
from celeriac.wire.results import TaskResult

_MOST_TOLD: Final = 500
"""Characters of the reason why a result could not be written."""


class ResultWriter:
    """Turns results into records and stores them. Thread-safe.

    A `backend` that gives None (a broker that cannot keep results, and no result backend configured) drops them.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        backend: Callable[[], ResultBackend | None],
        *,
        serializer: str,
        ttl: Seconds | None,
        extended: bool,
        max_bytes: int | None,
        clock: Clock,
    ) -> None:
        self._backend = backend
        self._serializer = serializer
        self._ttl = ttl
        self.extended: Final = extended
        """Whether name, arguments and worker are stored too (``result_extended``)."""
        self._max_bytes = max_bytes
        self._clock = clock

    @property
    def keeps_results(self) -> bool:
        """Tell whether there is a store to write to."""
        return self._backend() is not None

    def record(self, result: TaskResult, reply_to: str | None = None) -> ResultRecord:
        """Return the record of a result. Raises `EncodeError` when the value cannot be written or is too large.

        `reply_to` is what the task's message says of where the result is to be sent.
        """
        payload = wire.encode(result, serializer=self._serializer, extended=self.extended)
        if self._max_bytes is not None and len(payload) > self._max_bytes:
            raise EncodeError(
                f"The result of task {result.task_id} takes {len(payload)} bytes; result_max_bytes allows"
                f" {self._max_bytes}. Store the data elsewhere and return a reference to it, or raise the setting."
            )
        return ResultRecord(result.task_id, result.state, payload, self._ttl, reply_to)

    def record_of_error(self, result: TaskResult, reply_to: str | None = None) -> ResultRecord:
        """Return the record of a task that went wrong. Never raises: of what cannot be written it says why."""
        try:
            return self.record(result, reply_to)
        except EncodeError as error:
            short = TaskResult(
                task_id=result.task_id,
                state=result.state,
                result=EncodeError(f"{_kind(result.result)}; more could not be stored: {str(error)[:_MOST_TOLD]}"),
                date_done=result.date_done,
                group_id=result.group_id,
                parent_id=result.parent_id,
            )
            payload = wire.encode(short, serializer=self._serializer)
            return ResultRecord(short.task_id, short.state, payload, self._ttl, reply_to)

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write the records. Raises `BackendError` kin."""
        backend = self._backend()
        if backend is not None:
            backend.store(records)

    def write_state(self, task_id: str, state: str, meta: Any, *, reply_to: str | None = None) -> None:
        """Store a state at once, for instance a task's progress."""
        result = TaskResult(task_id=task_id, state=state, result=meta, date_done=self._done_at(state))
        self.store([self.record(result, reply_to)])

    def _done_at(self, state: str) -> datetime | None:
        return datetime.fromtimestamp(self._clock.now(), UTC) if state in states.READY_STATES else None


def _kind(error: Any) -> str:
    return ".".join(errors.names_of(type(error)))
