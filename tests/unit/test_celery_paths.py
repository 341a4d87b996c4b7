"""The imports that applications written for Celery have, with the one word replaced."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from celeriac import Celeriac, Task, states
from celeriac.log import get_task_logger

PATHS = (
    "celeriac:Celery Task shared_task current_app current_task states signals exceptions result",
    "celeriac.app:shared_task",
    "celeriac.app.task:Task",
    (
        "celeriac.exceptions:Retry Ignore Reject MaxRetriesExceededError SoftTimeLimitExceeded TimeLimitExceeded"
        " TimeoutError ImproperlyConfigured NotRegistered OperationalError CeleryError TaskError TaskRevokedError"
        " WorkerLostError"
    ),
    "celeriac.result:AsyncResult EagerResult GroupResult ResultBase ResultSet allow_join_result result_from_tuple",
    (
        "celeriac.signals:task_prerun task_postrun task_success task_failure task_retry task_revoked task_unknown"
        " task_received task_rejected before_task_publish after_task_publish worker_init worker_ready worker_shutdown"
        " worker_shutting_down worker_process_init celeryd_init celeryd_after_setup setup_logging"
        " worker_process_shutdown after_setup_logger after_setup_task_logger import_modules"
    ),
    "celeriac.states:PENDING STARTED RETRY SUCCESS FAILURE REVOKED READY_STATES",
    "celeriac.utils.log:get_task_logger",
)


@pytest.mark.parametrize("path", PATHS)
def test_what_celerys_users_import_is_there(path: str) -> None:
    module, _, names = path.partition(":")
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_the_logger_of_tasks_is_the_same_under_both_paths() -> None:
    assert importlib.import_module("celeriac.utils.log").get_task_logger is get_task_logger
    assert states.SUCCESS == "SUCCESS"


def test_classes_of_tasks_derive_from_the_applications_own() -> None:
    class Base(Task[..., Any]):
        kind = "mine"

    app = Celeriac("paths", broker="memory://paths", task_cls=Base, set_as_current=False)

    class Derived(app.Task):  # type: ignore[name-defined, misc]
        def run(self, x: int) -> int:
            return x + 1

    @app.task(base=Derived)
    def function() -> None: ...

    assert app.register_task(Derived()).apply((1,)).get() == 2
    assert isinstance(function, Derived)
    assert function.kind == "mine"
    assert Celeriac("plain", set_as_current=False).Task is Task
