"""Attributes of tasks that Celery knows and that have no effect here, or not in this pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from celeriac.app.task import Task

UNUSED: Final = {
    "backend": "results go to result_backend",
    "delivery_mode": "no store of this version knows it",
    "mandatory": "no store of this version knows it",
    "pydantic": "arguments are handed over as they came, without validation",
    "rate_limit": "this version does not limit rates",
}
"""By name, what happens instead."""


def unused_attributes(tasks: Iterable[Task[..., Any]]) -> Iterator[str]:
    """Yield a sentence for each attribute that is set in vain, naming the tasks that set it."""
    known = list(tasks)
    for attribute, instead in UNUSED.items():
        names = sorted(task.name for task in known if getattr(task, attribute, None))
        if names:
            yield f"{attribute} has no effect: {instead}. Set by {', '.join(names)}."


def unkept_limits(tasks: Iterable[Task[..., Any]], limit: float | None) -> Iterator[str]:
    """Yield a sentence that names who sets a hard limit, where no process can be ended to keep it.

    `limit` is ``task_time_limit``. Coroutines keep their limits in any pool.
    """
    ordinary = [task for task in tasks if not task.is_async]
    setters = ["task_time_limit"] if limit and ordinary else []
    setters += sorted(task.name for task in ordinary if task.time_limit)
    if setters:
        yield f"time_limit has no effect in this pool, soft_time_limit has: use prefork. Set by {', '.join(setters)}."
