"""The tasks of an application, by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.app.task import Task
from celeriac.exceptions import DuplicateTaskNameWarning, NotRegistered


class TaskRegistry(Mapping[str, Task[..., Any]]):
    """A mapping from task name to task. Reading is safe from any thread; registering happens at import."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def __getitem__(self, name: str) -> Task[..., Any]:
        try:
            return self._tasks[name]
        except KeyError:
            raise NotRegistered(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def __repr__(self) -> str:
        return f"<TaskRegistry: {', '.join(sorted(self._tasks)) or 'empty'}>"

    def register(self, task: Task[..., Any]) -> None:
        """Add a task, in place of one of the same name."""
        self._tasks[task.name] = task

    def register_first(self, task: Task[..., Any], *, origin: tuple[str, str]) -> Task[..., Any]:
        """Add a task unless its name is taken; return the one that is registered.

        `origin` is module and qualified name of the function: the same function seen twice (a module that was
        reloaded) replaces the first quietly, another function is told of and left out, as Celery does.
        """
        known = self._tasks.get(task.name)
        if known is None or known.origin == origin:
            self._tasks[task.name] = task
            return task
        warnings.warn(
            f"The task name {task.name!r} is used by {'.'.join(known.origin)} and {'.'.join(origin)}; the first is"
            " kept. Give one of them another name with @app.task(name=...).",
            DuplicateTaskNameWarning,
            stacklevel=4,
        )
        return known

    def unregister(self, name: str) -> None:
        """Remove a task; `NotRegistered` when there is none of that name."""
        if self._tasks.pop(name, None) is None:
            raise NotRegistered(name)

    def regular(self) -> dict[str, Task[..., Any]]:
        """Return the tasks of the user, without the built-in ``celery.*`` ones."""
        return {name: task for name, task in self._tasks.items() if not name.startswith("celery.")}
