"""The exception classes of stock Celery that ours stand for."""

from __future__ import annotations

from celeriac import exceptions

_HOMES = {
    "celery.exceptions": (
        "AlreadyRegistered",
        "BackendError",
        "BackendGetMetaError",
        "BackendStoreError",
        "CeleryError",
        "ChordError",
        "Ignore",
        "ImproperlyConfigured",
        "IncompleteStream",
        "InvalidTaskError",
        "MaxRetriesExceededError",
        "NotRegistered",
        "QueueNotFound",
        "Reject",
        "Retry",
        "SecurityError",
        "TaskError",
        "TaskPredicate",
        "TaskRevokedError",
        "TimeoutError",
    ),
    "billiard.exceptions": ("SoftTimeLimitExceeded", "Terminated", "TimeLimitExceeded", "WorkerLostError"),
    "kombu.exceptions": ("ContentDisallowed", "DecodeError", "EncodeError", "OperationalError"),
}
"""The modules in which stock Celery 5.7 defines them (their ``__module__``)."""

OURS: dict[tuple[str, str], type[BaseException]] = {
    (module, name): getattr(exceptions, name) for module, names in _HOMES.items() for name in names
}
"""Our class for a module and a name of Celery's."""

# Celery offers billiard's and kombu's from celery.exceptions too, and messages may name them there.
OURS |= {("celery.exceptions", name): cls for (_, name), cls in OURS.items()}

GOES_OUT_AS = {getattr(exceptions, name): (module, name) for module, names in _HOMES.items() for name in names}
"""Celery's module and name for a class of ours."""
