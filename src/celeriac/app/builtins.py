"""The tasks that every application has, under Celery's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from celeriac.app.eager import finished
from celeriac.app.task import Task
from celeriac.canvas.items import chunks
from celeriac.canvas.kinds import ACCUMULATE, CHUNKS, MAP, STARMAP
from celeriac.canvas.signature import maybe_signature


def builtin_tasks(host: Any) -> list[Task[..., Any]]:
    """Return the tasks for an application."""
    return [
        _builtin(ACCUMULATE, _accumulate),
        _builtin(MAP, partial(_map, host)),
        _builtin(STARMAP, partial(_starmap, host)),
        _builtin(CHUNKS, partial(_chunks, host)),
    ]


def _builtin(name: str, function: Callable[..., Any]) -> Task[..., Any]:
    # Not `Task.of`: it would load the module `inspect`, for programs that make no task of their own.
    task: Task[..., Any] = Task()
    task.name, task.function, task.run = name, function, function
    return task


def _accumulate(*args: Any, index: int | None = None) -> Any:
    """Return the arguments, or one of them: what stands at the end of a group whose members' values are one value."""
    return args if index is None else args[index]


def _map(host: Any, task: Mapping[str, Any], it: Sequence[Any]) -> list[Any]:
    run = host.tasks[task["task"]]
    return [finished(run(item)) for item in it]


def _starmap(host: Any, task: Mapping[str, Any], it: Sequence[Sequence[Any]]) -> list[Any]:
    run = host.tasks[task["task"]]
    return [finished(run(*item)) for item in it]


def _chunks(host: Any, task: Mapping[str, Any], it: Sequence[Any], n: int) -> Any:
    """Send the parts; what a stock client has sent as one message."""
    return chunks(maybe_signature(task, app=host), it, n, app=host).apply_async().as_tuple()
