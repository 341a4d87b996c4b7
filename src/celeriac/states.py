"""The states a task goes through, and which state may replace which.

Names, sets and precedence are Celery's, so that results written by either are read by both.

    PENDING -> (RECEIVED) -> (STARTED) -> SUCCESS
                   ^            |-------> FAILURE
                   |            |-------> REVOKED
                   +--- RETRY <-+

``PENDING`` also means "unknown": a result store cannot tell a task that waits from an id that never was.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALL_STATES",
    "EXCEPTION_STATES",
    "FAILURE",
    "IGNORED",
    "PENDING",
    "PRECEDENCE",
    "PROPAGATE_STATES",
    "READY_STATES",
    "RECEIVED",
    "REJECTED",
    "RETRY",
    "REVOKED",
    "STARTED",
    "SUCCESS",
    "UNREADY_STATES",
    "may_replace",
    "precedence",
]

PENDING: Final = "PENDING"
RECEIVED: Final = "RECEIVED"
STARTED: Final = "STARTED"
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
REVOKED: Final = "REVOKED"
RETRY: Final = "RETRY"
REJECTED: Final = "REJECTED"
IGNORED: Final = "IGNORED"

READY_STATES: Final = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES: Final = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES: Final = frozenset({FAILURE, REVOKED})
ALL_STATES: Final = READY_STATES | UNREADY_STATES | {IGNORED}

PRECEDENCE: Final = (SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)
"""Most final first; ``None`` stands for every state that users make up."""

_RANK: Final = {state: rank for rank, state in enumerate(PRECEDENCE)}
_CUSTOM_RANK: Final = _RANK[None]


def precedence(state: str) -> int:
    """Return the rank of `state`: 0 is the most final. Unknown (custom) states rank after FAILURE."""
    return _RANK.get(state, _CUSTOM_RANK)


def may_replace(new: str, old: str | None) -> bool:
    """Tell whether a result in state `new` may be written over one in state `old` (``None``: there is none).

    SUCCESS is never replaced. FAILURE and REVOKED are replaced only by another end, never by a state that
    a late or repeated run reports on its way. Every result store follows this one rule.
    """
    if old is None or old not in READY_STATES:
        return True
    return old != SUCCESS and new in READY_STATES
