"""``@shared_task``: tasks of a library, which belong to whichever application uses them."""

from __future__ import annotations

from typing import Any, Final

from celeriac.app.ambient import current_host
from celeriac.app.decorator import TaskDecorator
from celeriac.app.naming import task_name
from celeriac.app.task import Task

_shared: Final[dict[str, Task[..., Any]]] = {}


def shared_tasks() -> list[Task[..., Any]]:
    """Return every shared task that was imported so far; an application takes copies of them."""
    return list(_shared.values())


def _share(task: Task[..., Any]) -> Task[..., Any]:
    task.attach_late(current_host)
    _shared[task.name] = task
    return task


shared_task: Final = TaskDecorator(_share, name_of=lambda function: task_name(function, main=None))
"""The decorator; takes what ``@app.task`` takes. The task sends through the current application."""
