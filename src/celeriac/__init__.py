"""celeriac: a distributed task queue with Celery's API and wire format, and an engine of its own.

>>> from celeriac import Celeriac
>>> app = Celeriac("tasks")
>>> @app.task
... def add(x: int, y: int) -> int:
...     return x + y
>>> result = add.delay(4, 5)    # needs a worker: celeriac -A tasks worker
>>> result.get(timeout=10)      # doctest: +SKIP
9
"""

from celeriac.app.base import Celeriac, Celery
from celeriac.app.shared import shared_task
from celeriac.app.task import Task
from celeriac.canvas import Signature, chain, chord, chunks, group, maybe_signature, signature, subtask, xmap, xstarmap
from celeriac.current import current_app, current_task
from celeriac.result import AsyncResult
from celeriac.routing import Exchange, Queue

__version__ = "0.1.0"

__all__ = [
    "AsyncResult",
    "Celeriac",
    "Celery",
    "Exchange",
    "Queue",
    "Signature",
    "Task",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
