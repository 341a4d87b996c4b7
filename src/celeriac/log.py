"""Loggers for tasks. How lines look and where they go is the worker's (`celeriac.worker.logs`)."""

from __future__ import annotations

import logging

TASK_LOGGER = "celery.task"
"""Celery's name, so that logging configurations keep working."""


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger for use inside tasks; its records carry the running task's name and id.

    It is a child of ``celery.task``; `name` is usually ``__name__``.
    """
    if name in (TASK_LOGGER, "celeriac.task"):
        return logging.getLogger(TASK_LOGGER)
    return logging.getLogger(f"{TASK_LOGGER}.{name}")
