"""Results in the process's memory; each who waits is woken by the ids it waits for and by no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
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
    """All results of one store and those who wait for some; `keeping` guards both."""

    def __init__(self) -> None:
        self.keeping = threading.Lock()
        self.kept: dict[str, Kept] = {}
        self.waiting: dict[str, set[threading.Event]] = {}
        self.stored = 0


class MemoryResults:
    """The result contract on one `Records`. Thread-safe."""

    def __init__(self, records: Records, *, location: str, clock: Clock) -> None:
        self.location = location
        self._records = records
        self._clock = clock
        self._mine: set[threading.Event] = set()

    def connect(self) -> None:
        """There is nothing to reach."""

    def close(self) -> None:
        with self._records.keeping:
            mine, self._mine = self._mine, set()
        for woken in mine:
            woken.set()

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

    def wait(self, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
        end = time.monotonic() + timeout
        woken = threading.Event()
        with self._records.keeping:
            self._mine.add(woken)
            for task_id in ids:
                self._records.waiting.setdefault(task_id, set()).add(woken)
        try:
            while True:
                ready = self._ready(ids)
                if ready or not ids or (remaining := end - time.monotonic()) <= 0:
                    return ready
                woken.wait(remaining)
                woken.clear()
                if woken not in self._mine:
                    raise BackendError(f"{self.location} was closed while a result was waited for")
        finally:
            self._stop_waiting(ids, woken)

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
            for woken in self._records.waiting.get(record.task_id, ()):
                woken.set()

    def _ready(self, ids: Sequence[str]) -> dict[str, bytes]:
        now = self._clock.now()
        with self._records.keeping:
            found = {task_id: self._records.kept.get(task_id) for task_id in ids}
        return {
            task_id: kept.payload
            for task_id, kept in found.items()
            if kept is not None and kept.state in READY_STATES and kept.is_live(now)
        }

    def _stop_waiting(self, ids: Sequence[str], woken: threading.Event) -> None:
        with self._records.keeping:
            self._mine.discard(woken)
            for task_id in ids:
                waiting = self._records.waiting.get(task_id, set())
                waiting.discard(woken)
                if not waiting:
                    self._records.waiting.pop(task_id, None)

    def _sweep(self, now: float, *, limit: int) -> int:
        ended = [task_id for task_id, kept in self._records.kept.items() if not kept.is_live(now)][:limit]
        for task_id in ended:
            del self._records.kept[task_id]
        return len(ended)
