"""The application and the task that are current, for users' code. Nothing inside celeriac reads these."""

from __future__ import annotations

from typing import Any, cast

from celeriac.app.ambient import current_host
from celeriac.app.base import Celeriac
from celeriac.app.context import running
from celeriac.app.task import Task

__all__ = ["current_app", "current_task", "get_current_app", "get_current_task"]


def get_current_app() -> Celeriac:
    """Return the current application. Raises `ImproperlyConfigured` when none was made."""
    return cast("Celeriac", current_host())


def get_current_task() -> Task[..., Any] | None:
    """Return the task that runs here; None outside a run."""
    name = running.get().task
    return None if name is None else get_current_app().tasks[name]


class _CurrentApp:
    """Celery's ``current_app``: attributes of whichever application is current."""

    def __getattr__(self, name: str) -> Any:
        return getattr(get_current_app(), name)

    def __repr__(self) -> str:
        return repr(get_current_app())


class _CurrentTask:
    """Celery's ``current_task``: attributes of the task that runs here; false outside a run."""

    def __getattr__(self, name: str) -> Any:
        return getattr(get_current_task(), name)

    def __bool__(self) -> bool:
        return get_current_task() is not None

    def __repr__(self) -> str:
        return repr(get_current_task())


current_app: Any = _CurrentApp()
current_task: Any = _CurrentTask()
