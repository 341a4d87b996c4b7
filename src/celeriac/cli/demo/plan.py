"""What the demo sends, and what has to become of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celeriac import states
from celeriac.cli.demo import tasks
from celeriac.result.handle import AsyncResult

_DELAY = 2.0
_FRAMES = 25


@dataclass(frozen=True, slots=True)
class Kind:
    """Tasks of one kind. `expected` says of a task's end whether it is right: state, and value or exception."""

    name: str
    shows: str
    handles: Sequence[AsyncResult[Any]]
    expected: Callable[[str, Any], bool]


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended."""

    state: str
    result: Any
    is_expected: bool


def send_all() -> list[Kind]:
    """Send the demo's tasks; return what to watch. Nobody has to be there to take them yet."""
    delayed = [tasks.remind.apply_async((time.time(),), countdown=_DELAY) for _ in range(3)]
    return [
        Kind("quick", "sent in one batch", tasks.add.delay_many([(n, n) for n in range(12)]), _succeeds_with(int)),
        Kind("failing", "an exception arrives", [tasks.divide.delay(n, 0) for n in range(3)], _divides_by_zero),
        Kind("retrying", "third attempt works", [tasks.fetch.delay(n) for n in range(4)], _has_retried),
        Kind("async", "20 waits at once", [tasks.ask.delay(n) for n in range(20)], _succeeds_with(int)),
        Kind("slow", "tells its progress", [tasks.render.delay(_FRAMES) for _ in range(2)], _succeeds_with(int)),
        Kind("delayed", f"not before {_DELAY:.0f} s", delayed, _was_in_time),
    ]


def end_of(kind: Kind, handle: AsyncResult[Any]) -> End | None:
    """Return how the task ended; None while it has not."""
    if not handle.ready():
        return None
    state, result = handle.state, handle.result
    return End(state, result, kind.expected(state, result))


def _succeeds_with(type_of_value: type) -> Callable[[str, Any], bool]:
    return lambda state, result: state == states.SUCCESS and isinstance(result, type_of_value)


def _divides_by_zero(state: str, result: Any) -> bool:
    return state == states.FAILURE and isinstance(result, ZeroDivisionError)


def _has_retried(state: str, result: Any) -> bool:
    return state == states.SUCCESS and str(result).endswith("after 2 retries")


def _was_in_time(state: str, result: Any) -> bool:
    return state == states.SUCCESS and isinstance(result, float) and result >= _DELAY
