"""Locks, buckets and counters in the process's memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from celeriac.clock import Clock

PRUNE_EVERY: Final = 1000
"""Changes after which what has ended is removed, so that names used once do not pile up."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Who has a lock, and until when."""

    owner: str
    ends: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """`level` tokens were in it at the moment `at`; it is full, and forgotten, at `ends`."""

    level: float
    at: float
    ends: float


@dataclass(frozen=True, slots=True)
class Counter:
    """A count, and when it is forgotten."""

    value: int
    ends: float


class Facts:
    """All shared facts of one store; `agreeing` guards them."""

    def __init__(self) -> None:
        self.agreeing = threading.Lock()
        self.locks: dict[str, Lock] = {}
        self.buckets: dict[str, Bucket] = {}
        self.counters: dict[str, Counter] = {}
        self._changes = 0

    def changed(self, now: float) -> None:
        """Count a change, and every so often remove what has ended. Called with `agreeing` held."""
        self._changes += 1
        if self._changes % PRUNE_EVERY:
            return
        self.locks = {name: lock for name, lock in self.locks.items() if lock.ends > now}
        self.buckets = {name: bucket for name, bucket in self.buckets.items() if bucket.ends > now}
        self.counters = {name: counter for name, counter in self.counters.items() if counter.ends > now}


class MemoryCoordinator:
    """The coordinator contract on one `Facts`. Thread-safe."""

    def __init__(self, facts: Facts, *, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock

    def acquire(self, name: str, *, owner: str, ttl: float) -> bool:
        now = self._clock.now()
        with self._facts.agreeing:
            if self._owner(name, now) not in (None, owner):
                return False
            self._facts.locks[name] = Lock(owner, now + ttl)
            self._facts.changed(now)
            return True

    def release(self, name: str, *, owner: str) -> bool:
        with self._facts.agreeing:
            if self._owner(name, self._clock.now()) != owner:
                return False
            del self._facts.locks[name]
            return True

    def holder(self, name: str) -> str | None:
        with self._facts.agreeing:
            return self._owner(name, self._clock.now())

    def take(self, bucket: str, *, tokens: float, rate: float, burst: float) -> float:
        now = self._clock.now()
        with self._facts.agreeing:
            known = self._facts.buckets.get(bucket)
            level = burst if known is None else min(burst, known.level + max(0.0, now - known.at) * rate)
            if level < tokens:
                return (tokens - level) / rate
            self._facts.buckets[bucket] = Bucket(level - tokens, now, now + (burst - level + tokens) / rate)
            self._facts.changed(now)
            return 0.0

    def increment(self, name: str, *, by: int = 1, ttl: float) -> int:
        now = self._clock.now()
        with self._facts.agreeing:
            known = self._facts.counters.get(name)
            value = by if known is None or known.ends <= now else known.value + by
            self._facts.counters[name] = Counter(value, now + ttl)
            self._facts.changed(now)
            return value

    def close(self) -> None:
        """There is nothing to let go of."""

    def _owner(self, name: str, now: float) -> str | None:
        lock = self._facts.locks.get(name)
        return lock.owner if lock is not None and lock.ends > now else None
