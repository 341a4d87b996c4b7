"""A client of any system, run by that system's own interpreter: obeys one JSON line at a time, answers with one.

    python client.py SIDE

SIDE is a module beside this file. It has the tasks `noop` (no result) and `echo` (returns its argument), mostly also
those of `work.py` without results, all with one argument, and

    sender(task)            what sends one message, called with the argument
    call(number)            send echo; return a handle
    read(handle)            wait for echo's result and return it
    read_all(handles)       the same for many, the fastest way there is; return the values in order
    versions()              the packages that matter, as a mapping
    send_many(task, values), call_many(numbers)     where the system can send in bulk
    send_grouped(task, values)                      where coroutines can send
    FLOWS                   workflows by name, see `flows.make`, where the system has them

Standard library only: it runs in foreign environments.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import flows


class Client:
    """The commands. Seconds are by `time.monotonic`, which all processes of one machine share."""

    def __init__(self, side: Any) -> None:
        self._side = side
        self._handles: list[Any] = []
        self._values: list[int] = []

    def versions(self) -> dict[str, Any]:
        return {"python": sys.version.split()[0], **self._side.versions()}

    def send(self, count: int, task: str = "noop", value: Any = None) -> dict[str, Any]:
        """Send one at a time: that value, or else the numbers from 0."""
        send = self._side.sender(task)

        def work() -> None:
            for number in range(count):
                send(number if value is None else value)

        return _measured(work)

    def send_many(self, count: int, task: str = "noop", value: Any = None) -> dict[str, Any]:
        """Send in bulk; one at a time where the system has no call for it."""
        if not hasattr(self._side, "send_many"):
            return self.send(count, task, value)
        values = range(count) if value is None else [value] * count
        return _measured(lambda: self._side.send_many(task, values))

    def send_grouped(self, count: int, task: str = "noop") -> dict[str, Any]:
        """Send from many coroutines at once, where the system can."""
        importlib.import_module("asyncio")  # whoever has coroutines has it
        return _measured(lambda: self._side.send_grouped(task, range(count)))

    def call_all(self, count: int) -> dict[str, Any]:
        """Send calls whose results `read_all` will read."""
        self._values = list(range(count))

        def work() -> None:
            if hasattr(self._side, "call_many"):
                self._handles = self._side.call_many(self._values)
            else:
                self._handles = [self._side.call(value) for value in self._values]

        return _measured(work)

    def read_all(self) -> dict[str, Any]:
        """Read the results of `call_all`; an error when one is not what it must be."""
        values: list[Any] = []
        facts = _measured(lambda: values.extend(self._side.read_all(self._handles)))
        if values != self._values:
            raise RuntimeError("A result was lost or is not the one that was asked for")
        return facts

    def round_trips(self, count: int, pause: float) -> dict[str, Any]:
        """Call, read, rest; answers the seconds that each took."""
        side, took = self._side, []
        for number in range(count):
            started = time.perf_counter()
            value = side.read(side.call(number))
            took.append(time.perf_counter() - started)
            if value != number:
                raise RuntimeError("A result is not the one that was asked for")
            time.sleep(pause)
        return {"seconds": took}

    def flow(self, kind: str, count: int) -> dict[str, Any]:
        """Run a workflow again and again; answers the seconds that each took."""
        return {"seconds": flows.timed(self._side.FLOWS[kind], count)}

    def chord_of(self, size: int) -> dict[str, Any]:
        """Run one chord; answers the seconds that it took, and by how many bytes its peak of memory is the highest."""
        highest = _highest()
        (took,) = flows.timed(partial(self._side.FLOWS["chord"], size), 1)
        return {"seconds": took, "memory": _highest() - highest}


def _highest() -> int:
    """Return the most memory (RSS, bytes) that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _measured(work: Callable[[], None]) -> dict[str, Any]:
    started, cpu = time.monotonic(), time.process_time()
    work()
    cpu = time.process_time() - cpu
    ended = time.monotonic()
    return {"wall": ended - started, "cpu": cpu, "ended": ended}


def main() -> None:
    client = Client(importlib.import_module(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(getattr(client, command.pop("do"))(**command)), flush=True)


if __name__ == "__main__":
    main()
