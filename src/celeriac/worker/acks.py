"""Whether what failed is acknowledged, as tasks and settings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from celeriac.app.task import Task
from celeriac.settings.conf import Settings

T = TypeVar("T")


def acks_failures(task: Task[..., Any], conf: Settings) -> bool:
    """Tell whether a task that failed is done with, rather than a dead letter."""
    if task.acks_on_failure_or_timeout is not None:
        return task.acks_on_failure_or_timeout
    return given_or(conf.task_acks_on_failure, conf.task_acks_on_failure_or_timeout)


def acks_timeouts(tasks: Mapping[str, Task[..., Any]], conf: Settings) -> dict[str, bool]:
    """Return, by name, whether a task whose hard time limit was up is done with, rather than a dead letter."""
    default = given_or(conf.task_acks_on_timeout, conf.task_acks_on_failure_or_timeout)
    return {name: given_or(task.acks_on_failure_or_timeout, default) for name, task in tasks.items()}


def given_or(value: bool | None, default: T) -> bool | T:  # noqa: FBT001  two plain values
    """Return the value, or the default where nothing was said."""
    return default if value is None else value
