"""Results in the process's memory; each who waits is woken by the ids it waits for and by no others."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from celeriac.clock import Clock
from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES, may_replace

SWEEP_EVERY: Final = 1000
"""Stored results after which the expired ones are removed, for programs that never sweep."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task's last state, and when it is forgotten (None: never)."""

    state: str
    payload: bytes
    ends: float | None

    def is_live(self, now: float) -> bool:
        return self.ends is None or self.ends > now


class Records:
    """All results of one store and those who listen for some; `keeping` guards both."""

    def __init__(self) -> None:
        self.keeping = threading.Lock()
        self.kept: dict[str, Kept] = {}
        self.listening: dict[str, set[MemoryListener]] = {}
        self.stored = 0


class MemoryResults:
    """The result contract on one `Records`. Thread-safe."""

    mailbox: Final = None

    def __init__(self, records: Records, *, location: str, clock: Clock) -> None:
        self.location = location
        self._records = records
        self._clock = clock
        self._open: set[MemoryListener] = set()

    def connect(self) -> None:
        """There is nothing to reach."""

    def close(self) -> None:
        with self._records.keeping:
            for listener in self._open:
                listener.fail()

    def store(self, records: Sequence[ResultRecord]) -> None:
        now = self._clock.now()
        with self._records.keeping:
            for record in records:
                self._store_one(record, now)
            stored = self._records.stored = self._records.stored + len(records)
            if stored % SWEEP_EVERY < len(records):
                self._sweep(now, limit=len(self._records.kept))

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        now = self._clock.now()
        with self._records.keeping:
            found = {task_id: self._records.kept.get(task_id) for task_id in ids}
        return {task_id: kept.payload for task_id, kept in found.items() if kept is not None and kept.is_live(now)}

    def listen(self, ids: Sequence[str] = ()) -> MemoryListener:
        listener = MemoryListener(self._records, self._open, location=self.location, clock=self._clock)
        listener.add(ids)
        return listener

    def forget(self, ids: Sequence[str]) -> None:
        with self._records.keeping:
            for task_id in ids:
                self._records.kept.pop(task_id, None)

    def sweep(self, *, limit: int) -> int:
        with self._records.keeping:
            return self._sweep(self._clock.now(), limit=limit)

    def _store_one(self, record: ResultRecord, now: float) -> None:
        old = self._records.kept.get(record.task_id)
        if old is not None and old.is_live(now) and not may_replace(record.state, old.state):
            return
        ends = None if record.ttl is None else now + record.ttl
        self._records.kept[record.task_id] = Kept(record.state, record.payload, ends)
        if record.state in READY_STATES:
            for listener in self._records.listening.get(record.task_id, ()):
                listener.tell(record.task_id, record.payload)

    def _sweep(self, now: float, *, limit: int) -> int:
        ended = [task_id for task_id, kept in self._records.kept.items() if not kept.is_live(now)][:limit]
        for task_id in ended:
            del self._records.kept[task_id]
        return len(ended)


class MemoryListener:
    """One who waits. Implements `ResultListener`; `Records.keeping` guards its fields, but for the event."""

    def __init__(self, records: Records, open_ones: set[MemoryListener], *, location: str, clock: Clock) -> None:
        self._records = records
        self._open = open_ones
        self._location = location
        self._clock = clock
        self._ids: set[str] = set()
        self._heard: dict[str, bytes] = {}
        self._is_failed = False
        self._woken = threading.Event()

    def add(self, ids: Collection[str]) -> None:
        now = self._clock.now()
        with self._records.keeping:
            self._open.add(self)
            for task_id in ids:
                self._ids.add(task_id)
                self._records.listening.setdefault(task_id, set()).add(self)
                kept = self._records.kept.get(task_id)
                if kept is not None and kept.state in READY_STATES and kept.is_live(now):
                    self.tell(task_id, kept.payload)

    def discard(self, ids: Collection[str]) -> None:
        with self._records.keeping:
            self._discard(self._ids.intersection(ids))

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        self._woken.wait(timeout)
        with self._records.keeping:
            self._woken.clear()
            if self._is_failed:
                raise BackendError(f"{self._location} was closed while a result was waited for")
            heard, self._heard = self._heard, {}
            return heard

    def close(self) -> None:
        with self._records.keeping:
            self._open.discard(self)
            self._discard(self._ids.copy())

    def tell(self, task_id: str, payload: bytes) -> None:
        """Take in that a task has ended. The lock is held."""
        self._heard[task_id] = payload
        self._woken.set()

    def fail(self) -> None:
        """Have `get` raise. The lock is held."""
        self._is_failed = True
        self._woken.set()

    def _discard(self, ids: set[str]) -> None:
        self._ids -= ids
        for task_id in ids:
            self._heard.pop(task_id, None)
            listening = self._records.listening[task_id]
            listening.discard(self)
            if not listening:
                del self._records.listening[task_id]
