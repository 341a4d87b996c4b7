"""Deliveries whose holder died: how often, and when that is enough.

A delivery that is marked as redelivered was held by somebody who died or lost its lease. Each time such a one starts,
that is counted before it runs, in the store: so a task that ends its process is stopped after ``task_max_crashes``
runs, whichever nodes they were on. What does not start is not counted, and a run that gives its message back, which
keeps the mark, is taken back. Everything else costs nothing. Where the broker counts by itself (`Delivery.crashes`),
nothing is counted here.
"""

from __future__ import annotations

import logging
from typing import Final

from celeriac.app.crashes import counter_name
from celeriac.exceptions import CoordinatorError
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
        """Return how often a holder of this try of the task died, the last one included; that one is not counted yet.

        Raises `CoordinatorError` when the store cannot tell.
        """
        return _UNKNOWN if self._coordinator is None else self._add(self._coordinator, call, 0) + 1

    def count(self, call: TaskCall) -> None:
        """Count the crash after which the task begins again. Raises `CoordinatorError`."""
        if self._coordinator is not None:
            self._add(self._coordinator, call, 1)

    def count_back(self, call: TaskCall) -> None:
        """Take back what was counted when this run began: it ended well and goes back, marked as it came."""
        try:
            if self._coordinator is not None:
                self._add(self._coordinator, call, -1)
        except CoordinatorError as error:
            logger.warning("One crash too many is counted for task %s[%s]: %s", call.name, call.id, error)

    def is_too_many(self, crashes: int) -> bool:
        """Tell whether the task must not run any more."""
        return crashes >= self._most

    def is_last_chance(self, crashes: int) -> bool:
        """Tell whether the task must not run any more if its holder dies once more."""
        return 0 < crashes == self._most - 1

    @staticmethod
    def _add(coordinator: Coordinator, call: TaskCall, by: int) -> int:
        return coordinator.increment(counter_name(call.id, call.retries), by=by, ttl=_REMEMBERED)
