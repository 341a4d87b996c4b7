"""The application, its tasks, and sending. `base` puts the parts together."""

from celeriac.app.base import Celeriac, Celery
from celeriac.app.shared import shared_task
from celeriac.app.task import Task

__all__ = ["Celeriac", "Celery", "Task", "shared_task"]
