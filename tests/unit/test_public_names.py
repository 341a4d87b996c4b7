"""What celeriac promises to keep: the `__all__` of every package and of every module at the top, name by name."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

PUBLIC: dict[str, set[str]] = {
    "celeriac": {
        "AsyncResult",
        "Celeriac",
        "Celery",
        "Exchange",
        "Queue",
        "Signature",
        "Task",
        "__version__",
        "chain",
        "chord",
        "chunks",
        "current_app",
        "current_task",
        "group",
        "maybe_signature",
        "shared_task",
        "signature",
        "subtask",
        "xmap",
        "xstarmap",
    },
    "celeriac.canvas": {
        "Signature",
        "StampingVisitor",
        "chain",
        "chord",
        "chunks",
        "draw",
        "group",
        "maybe_signature",
        "signature",
        "subtask",
        "xmap",
        "xstarmap",
    },
    "celeriac.app": {
        "Celeriac",
        "Celery",
        "Task",
        "shared_task",
    },
    "celeriac.current": {
        "current_app",
        "current_task",
        "get_current_app",
        "get_current_task",
    },
    "celeriac.exceptions": {
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
    },
    "celeriac.result": {
        "AsyncResult",
        "EagerResult",
        "GroupResult",
        "ResultBase",
        "ResultSet",
        "allow_join_result",
        "denied_join_result",
        "result_from_tuple",
    },
    "celeriac.routing": {
        "Binding",
        "Exchange",
        "Queue",
        "QueueSpec",
        "Queues",
        "Route",
        "Routed",
        "Router",
        "RoutingConf",
    },
    "celeriac.serialization": {
        "register",
        "unregister",
    },
    "celeriac.settings": {
        "Layer",
        "Settings",
    },
    "celeriac.states": {
        "ALL_STATES",
        "EXCEPTION_STATES",
        "FAILURE",
        "IGNORED",
        "PENDING",
        "PRECEDENCE",
        "PROPAGATE_STATES",
        "READY_STATES",
        "RECEIVED",
        "REJECTED",
        "RETRY",
        "REVOKED",
        "STARTED",
        "SUCCESS",
        "UNREADY_STATES",
        "may_replace",
        "precedence",
    },
    "celeriac.testing.conformance": {
        "Case",
    },
}


def declared() -> dict[str, set[str]]:
    """Return every public `__all__` that stands in the source, by module; those of inner modules are private."""
    found = {}
    for path in {*(SOURCE / "celeriac").rglob("__init__.py"), *(SOURCE / "celeriac").glob("*.py")}:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "__all__" for name in node.targets):
                parts = path.relative_to(SOURCE).with_suffix("").parts
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[module] = set(ast.literal_eval(node.value))
    return found


def test_the_public_names_are_the_promised_ones() -> None:
    assert declared() == PUBLIC


@pytest.mark.parametrize("module", PUBLIC)
def test_every_promised_name_is_there(module: str) -> None:
    missing = [name for name in PUBLIC[module] if not hasattr(importlib.import_module(module), name)]
    assert missing == []
