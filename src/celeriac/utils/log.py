"""Celery's path to the loggers of tasks."""

from celeriac.log import get_task_logger

__all__ = ["get_task_logger"]
