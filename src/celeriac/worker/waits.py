"""Waiting until something can be read, for one who waits again and again for the same."""

from __future__ import annotations

import multiprocessing.connection
import select
import sys
from collections.abc import Sequence
from typing import Any


class Waits:
    """Call it with what to wait for (connections, file descriptors, objects that have one) and seconds; it returns what
    is readable, or has ended.

    Does what `multiprocessing.connection.wait` does, which makes everything ready anew for each wait: on a machine
    that sleeps meanwhile that takes 0.5 ms, most of what an idle supervisor does. Used by one thread.
    """

    def __init__(self) -> None:
        self._known: list[Any] = []
        self._by_number: dict[int, Any] = {}

    if sys.platform == "win32":

        def __call__(self, objects: Sequence[Any], seconds: float) -> list[Any]:
            return multiprocessing.connection.wait(objects, timeout=seconds)

    else:

        def __call__(self, objects: Sequence[Any], seconds: float) -> list[Any]:
            if list(objects) != self._known:
                self._learn(objects)
            return [self._by_number[number] for number, _ in self._poll.poll(seconds * 1000)]

        def _learn(self, objects: Sequence[Any]) -> None:
            self._known = list(objects)
            self._by_number = {each if isinstance(each, int) else each.fileno(): each for each in objects}
            self._poll = select.poll()
            for number in self._by_number:
                self._poll.register(number, select.POLLIN)
