"""Whether somebody may wait for a result here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

joining_forbidden: Final[ContextVar[bool]] = ContextVar("celeriac_joining_forbidden", default=False)
"""True inside a running task, where waiting for another task can use up every slot and stop the node for good."""


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Let `get` be called inside a task, for callers who know that another node runs what is waited for."""
    token = joining_forbidden.set(False)
    try:
        yield
    finally:
        joining_forbidden.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Let `get` raise RuntimeError, as it does inside a task."""
    token = joining_forbidden.set(True)
    try:
        yield
    finally:
        joining_forbidden.reset(token)


def refuse_in_task() -> None:
    """Raise RuntimeError inside a task that may not wait for others."""
    if joining_forbidden.get():
        raise RuntimeError(
            "Never call result.get() within a task: when all slots wait for one another nothing runs any more."
            " Let the other task send what follows, or use celeriac.result.allow_join_result() where other workers"
            " run it."
        )
