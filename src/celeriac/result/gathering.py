"""Reading the ends of many tasks with few trips to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol, TypeVar

from celeriac.exceptions import TimeoutError
from celeriac.result.reader import ResultReader, check_timeout
from celeriac.result.waiting import WAIT_SLICE, wait_for
from celeriac.types import Seconds
from celeriac.wire.results import TaskResult

_WINDOW: Final = 500
"""Ids that are asked for in one trip, and the most that are looked for ahead of the one that is due."""

_REST: Final[Seconds] = 0.005
"""Between two trips while results come in: some hundred arrive meanwhile, and are read together."""


class Handle(Protocol):
    """What is read of one task."""

    @property
    def id(self) -> str: ...
    @property
    def reader(self) -> ResultReader: ...
    @property
    def ignored(self) -> bool: ...
    @property
    def end(self) -> TaskResult | None: ...
    def keep(self, end: TaskResult | None, /) -> None: ...


HandleT = TypeVar("HandleT", bound=Handle)


def unread(handles: Iterable[HandleT]) -> list[HandleT]:
    """Return those of the handles whose end is to come, as far as they know."""
    return [handle for handle in handles if handle.end is None and not handle.ignored]


def look(handles: Iterable[Handle]) -> None:
    """Let the handles know which of their tasks have ended by now, in one trip. Raises `BackendError` kin."""
    for reader, of_one in by_reader(unread(handles)):
        ends = reader.ends([handle.id for handle in of_one])
        for handle in of_one:
            handle.keep(ends.get(handle.id))


def by_reader(handles: Iterable[HandleT]) -> Iterator[tuple[ResultReader, list[HandleT]]]:
    """Yield the handles of each application: each has a store of its own. Nearly always it is one."""
    for _, of_one in groupby(handles, key=lambda handle: id(handle.reader)):
        found = list(of_one)
        yield found[0].reader, found


def in_order(reader: ResultReader, ids: Sequence[str], *, timeout: Seconds | None) -> Iterator[TaskResult]:
    """Yield the ends of the tasks in the order of `ids`, each as soon as it and all before it are there.

    `timeout` holds for all together. Raises `celeriac.exceptions.TimeoutError` and what the store raises.
    """
    deadline = _Deadline(reader, timeout, len(ids))
    for start in range(0, len(ids), _WINDOW):
        window = ids[start : start + _WINDOW]
        ends: dict[str, TaskResult] = {}
        due = 0
        while due < len(window):
            found = reader.ends([task_id for task_id in window[due:] if task_id not in ends])
            ends.update(found)
            while due < len(window) and window[due] in ends:
                yield ends.pop(window[due])
                due += 1
            left = len(window) - due - len(ends)
            if left:
                deadline.pause(window[due : due + 1], is_busy=bool(found) and left > 1)


def as_they_end(reader: ResultReader, ids: Sequence[str], *, timeout: Seconds | None) -> Iterator[TaskResult]:
    """Yield the ends of the tasks as they come. `timeout` and errors are those of `in_order`."""
    deadline = _Deadline(reader, timeout, len(ids))
    missing = list(dict.fromkeys(ids))
    while missing:
        found: dict[str, TaskResult] = {}
        for start in range(0, len(missing), _WINDOW):
            ends = reader.ends(missing[start : start + _WINDOW])
            yield from ends.values()
            found.update(ends)
        missing = [task_id for task_id in missing if task_id not in found]
        if missing:
            deadline.pause(missing[:_WINDOW], is_busy=bool(found) and len(missing) > 1)


class _Deadline:
    """The time that there is for all."""

    def __init__(self, reader: ResultReader, timeout: Seconds | None, count: int) -> None:
        check_timeout(timeout)
        self._reader = reader
        self._timeout = timeout
        self._count = count
        self._ends = None if timeout is None else reader.clock.monotonic() + timeout

    def pause(self, ids: Sequence[str], *, is_busy: bool) -> None:
        """Rest while results come in; else wait until one of the ids has ended. Raises when the time is over."""
        left = WAIT_SLICE if self._ends is None else self._ends - self._reader.clock.monotonic()
        if left <= 0:
            raise TimeoutError(
                f"Not all of {self._count} results came within {self._timeout} s; task {ids[0]} is among the missing."
                " See that workers serve its queue (celeriac queues)."
            )
        if is_busy:
            self._reader.clock.sleep(min(_REST, left))
        else:
            wait_for(self._reader.backend, ids, timeout=min(left, WAIT_SLICE))
