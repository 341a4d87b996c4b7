"""Workflows in the words that celery and celeriac have in common. Standard library only, but for the library itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_LARGE = 1000
"""Members beyond which a chord's come from a generator."""


def make(library: Any, add: Any, total: Any) -> dict[str, Callable[..., None]]:
    """Return, by name, what sends a workflow and waits for its value, which must be the right one."""

    def chain() -> None:
        steps = [add.s(0, 0), *(add.s(1) for _ in range(99))]
        _expect(library.chain(*steps).apply_async().get(timeout=60), 99)

    def group() -> None:
        values = library.group(add.s(number, number) for number in range(1000)).apply_async().get(timeout=60)
        _expect(values, [2 * number for number in range(1000)])

    def chord(size: int = 1000) -> None:
        members = (add.s(number, number) for number in range(size))
        result = library.chord(members if size > _LARGE else list(members))(total.s())
        _expect(result.get(timeout=60), size * (size - 1))

    return {"chain": chain, "group": group, "chord": chord}


def timed(flow: Callable[[], None], count: int) -> list[float]:
    """Return the seconds of each of so many runs."""
    took = []
    for _ in range(count):
        started = time.perf_counter()
        flow()
        took.append(time.perf_counter() - started)
    return took


def _expect(value: Any, right: Any) -> None:
    if value != right:
        raise RuntimeError("A workflow came to another value than it must")
