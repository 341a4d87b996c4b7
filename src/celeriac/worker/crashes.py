"""Deliveries whose holder died: how often, and when that is enough.

A delivery that is marked as redelivered was held by somebody who died or lost its lease. Each time such a one starts,
it is counted before it runs, in the store: so a task that ends its process is stopped after ``task_max_crashes``
runs, whichever nodes they were on. Everything else costs nothing.
"""

from __future__ import annotations

import logging
from typing import Final

from celeriac.app.crashes import counter_name
from celeriac.interfaces.coordinator import Coordinator
from celeriac.types import Seconds
from celeriac.wire.tasks import TaskCall

logger = logging.getLogger(__name__)

_REMEMBERED: Final[Seconds] = 86_400.0
_UNKNOWN: Final = 0


class CrashCounter:
    """Counts. Thread-safe. Without a coordinator nothing is counted, and the node says so at start."""

    def __init__(self, coordinator: Coordinator | None, *, most: int) -> None:
        self._coordinator = coordinator
        self._most = most

    def crashes_before(self, call: TaskCall) -> int:
        """Return how often a holder of this try of the task died, counting this start of it.

        Raises `CoordinatorError` when the store cannot tell.
        """
        if self._coordinator is None:
            return _UNKNOWN
        return self._coordinator.increment(counter_name(call.id, call.retries), ttl=_REMEMBERED)

    def is_too_many(self, crashes: int) -> bool:
        """Tell whether the task must not run any more."""
        return crashes >= self._most
