"""Every exception that celeriac raises, in one tree.

    CeleriacError (alias CeleryError)
    |-- ImproperlyConfigured
    |-- SecurityError
    |   `-- ContentDisallowed              a content type that ``accept_content`` does not list
    |-- OperationalError                   a store could not be reached or did not answer in time
    |   |-- BrokerError
    |   |   |-- SendIncomplete             part of a batch was not stored; names what was not
    |   |   `-- BrokerUnavailable
    |   |-- BackendError
    |   |   |-- BackendGetMetaError
    |   |   `-- BackendStoreError
    |   `-- CoordinatorError
    |-- DecodeError                        bytes that do not say what they claim to
    |-- EncodeError                        a value that the chosen serializer cannot write
    |-- TaskError
    |   |-- QueueNotFound   IncompleteStream   NotRegistered   AlreadyRegistered
    |   |-- TimeoutError    MaxRetriesExceededError            TaskRevokedError
    |   |-- InvalidTaskError                ChordError
    |   |-- SoftTimeLimitExceeded   TimeLimitExceeded   WorkerLostError   Terminated
    |   `-- RemoteError                     stands for an exception class that this process cannot import
    `-- TaskPredicate                       control flow, not errors:
        |-- Ignore   Reject   Retry
        |   `-- Replaced

Names that Celery has are Celery's, and go over the wire as ``celery.exceptions`` (see `celeriac.wire.errors`),
so that stock clients rebuild them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "AlreadyRegistered",
    "AlwaysEagerIgnored",
    "BackendError",
    "BackendGetMetaError",
    "BackendStoreError",
    "BrokerError",
    "BrokerUnavailable",
    "CeleriacError",
    "CeleryError",
    "ChordError",
    "ContentDisallowed",
    "CoordinatorError",
    "DecodeError",
    "DuplicateTaskNameWarning",
    "EncodeError",
    "Ignore",
    "ImproperlyConfigured",
    "IncompleteStream",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NotRegistered",
    "OperationalError",
    "QueueNotFound",
    "Reject",
    "RemoteError",
    "Retry",
    "RevocationNotKept",
    "SecurityError",
    "SendIncomplete",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskPredicate",
    "TaskRevokedError",
    "Terminated",
    "TimeLimitExceeded",
    "TimeoutError",
    "WorkerLostError",
]


class CeleriacError(Exception):
    """Base of all errors of celeriac."""


CeleryError = CeleriacError


class ImproperlyConfigured(CeleriacError):
    """The configuration cannot work; the message names the setting and what to write instead."""


class SecurityError(CeleriacError):
    """Something was refused because it is not trusted."""


class ContentDisallowed(SecurityError):
    """A message or result has a content type that ``accept_content`` does not list."""


class OperationalError(CeleriacError):
    """A store could not be reached, refused, or did not answer in time."""

    is_for_good: bool = False
    """Whether no other try of the same can end better, such as one that is larger than the store takes."""


class BrokerError(OperationalError):
    """The broker failed; the message names the broker and what to do."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached at all; trying again later may help."""


class SendIncomplete(BrokerError):
    """A batch was stored only in part. `unsent` holds the positions in the batch that the store has not."""

    def __init__(self, message: str, *, unsent: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.unsent: tuple[int, ...] = tuple(unsent)


class BackendError(OperationalError):
    """The result store failed."""


class BackendGetMetaError(BackendError):
    """A result could not be read."""


class BackendStoreError(BackendError):
    """A result could not be written."""


class CoordinatorError(OperationalError):
    """Locks, counters or presence could not be kept."""


class DecodeError(CeleriacError):
    """Bytes do not say what they claim to."""


class EncodeError(CeleriacError, TypeError):
    """A value cannot be written with the chosen serializer."""


class TaskError(CeleriacError):
    """Base of what goes wrong with one task."""


class QueueNotFound(TaskError, KeyError):
    """The queue is not configured and may not be made on the fly."""


class IncompleteStream(TaskError):
    """Not all results of a set could be read."""


class NotRegistered(TaskError, KeyError):
    """No task of that name is known here."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AlreadyRegistered(TaskError):
    """A task of that name exists already."""


class TimeoutError(TaskError):  # noqa: A001  Celery's name, and users import it from here
    """The result did not arrive within the time that the caller gave."""


class MaxRetriesExceededError(TaskError):
    """The task was tried as often as it may be. `task_args` and `task_kwargs` hold what it was called with."""

    def __init__(self, *args: Any, task_args: Any = None, task_kwargs: Any = None) -> None:
        super().__init__(*args)
        self.task_args: Any = task_args or []
        self.task_kwargs: Any = task_kwargs or {}


class TaskRevokedError(TaskError):
    """The task was revoked, or it expired before it could start."""


class InvalidTaskError(TaskError):
    """A message is no task: a field is missing or of the wrong kind."""


class ChordError(TaskError):
    """A member of a chord failed, so its body cannot run."""


class SoftTimeLimitExceeded(TaskError):
    """Raised inside a task that passed its soft time limit."""

    def __str__(self) -> str:  # it is raised as a class, from outside: nobody can give it a text
        return super().__str__() or "The task ran longer than its soft time limit"


class TimeLimitExceeded(TaskError):
    """The task passed its hard time limit and was ended."""


class WorkerLostError(TaskError):
    """The process that ran the task went away."""


class Terminated(TaskError):
    """Raised inside a task that is revoked while it runs; its state is then REVOKED."""


class RemoteError(TaskError):
    """Stands for an exception class that cannot be imported here; a subclass of the same name is raised."""


class TaskPredicate(CeleriacError):
    """Base of the exceptions that a task raises to say what shall happen, rather than that something went wrong."""


class Ignore(TaskPredicate):
    """Leave the task's state as the task itself has set it."""


class Replaced(Ignore):
    """Another signature takes the running task's place; `Task.replace` raises it."""

    def __init__(self, signature: Any) -> None:
        super().__init__("Replaced by new task")
        self.signature = signature


class Reject(TaskPredicate):
    """Do not complete the message: drop it as a dead letter, or give it back with ``requeue=True``."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  Celery's order
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue


class Retry(TaskPredicate):
    """The task will be tried again. `exc` is the reason, `when` the moment (datetime) or the delay in seconds.

    `outgoing` is the message that replaces the running one; `Task.retry` sets it.
    """

    def __init__(self, message: str | None = None, exc: BaseException | None = None, when: Any = None) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when
        self.outgoing: Any = None

    def __str__(self) -> str:
        if self.message:
            return self.message
        if self.exc is not None:
            return f"Retry {self._moment()}: {self.exc!r}"
        return f"Retry {self._moment()}"

    def _moment(self) -> str:
        if isinstance(self.when, int | float):
            return f"in {self.when}s"
        return f"at {self.when}"


class DuplicateTaskNameWarning(UserWarning):
    """Two functions were registered under one task name; the first is kept."""


class AlwaysEagerIgnored(UserWarning):
    """``send_task`` sends a message even with ``task_always_eager``."""


class RevocationNotKept(UserWarning):
    """What was revoked is only announced: a worker that does not listen now does not learn of it."""
