"""What has come of results, by task: the last state of each, as much as there is room for."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from celeriac.exceptions import CeleriacError
from celeriac.states import READY_STATES, SUCCESS, may_replace
from celeriac.wire.results import state_of

__all__ = ["Kept"]

log = logging.getLogger(__name__)

_OVERHEAD: Final = 500
"""Bytes that a result takes besides its payload, about."""
_LOOKED_AT: Final = 16
"""So many that are waited for are passed over in search of one that is not."""
_STATUS: Final = re.compile(rb"status[^\w]*(\w+)")


class _Result(Struct, frozen=True):
    state: str
    payload: bytes


class Kept:
    """Results by task id, at most `most_bytes` of those that nobody waits for. For one thread at a time."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._results: dict[str, _Result] = {}  # what came longest ago first
        self._has_told = False

    def add(self, task_id: str, payload: bytes, *, is_wanted: Callable[[str], bool]) -> bool:
        """Keep a state; False where an end is known that it may not replace. Drop the oldest where room is short."""
        state = _state(payload)
        old = self._results.get(task_id)
        if old is not None and not may_replace(state, old.state):
            return False
        self.drop(task_id)
        self._results[task_id] = _Result(state, payload)
        self._bytes += len(payload) + _OVERHEAD
        passed = 0
        while self._bytes > self._most_bytes and passed < _LOOKED_AT:
            oldest = next(iter(self._results))
            if oldest == task_id or is_wanted(oldest):
                self._results[oldest] = self._results.pop(oldest)
                passed += 1
            else:
                self.drop(oldest)
                self._tell()
        return True

    def drop(self, task_id: str) -> None:
        """Forget a task; an unknown one is no error."""
        old = self._results.pop(task_id, None)
        if old is not None:
            self._bytes -= len(old.payload) + _OVERHEAD

    def payload(self, task_id: str) -> bytes | None:
        """Return the last state."""
        found = self._results.get(task_id)
        return None if found is None else found.payload

    def end(self, task_id: str) -> bytes | None:
        """Return the last state if it is an end."""
        found = self._results.get(task_id)
        return found.payload if found is not None and found.state in READY_STATES else None

    def _tell(self) -> None:
        if not self._has_told:
            self._has_told = True
            log.warning(
                "More results have come by rpc:// than the %s bytes that this process keeps: the oldest are forgotten."
                " Send tasks whose results nobody reads with ignore_result, or raise rpc_max_bytes in the transport"
                " options.",
                self._most_bytes,
            )


def _state(payload: bytes) -> str:
    """Return the state in a payload; of what is no JSON, by pattern. One that cannot be found counts as an end."""
    try:
        return state_of(payload)
    except CeleriacError:
        found = _STATUS.search(payload)
        return SUCCESS if found is None else found.group(1).decode()
