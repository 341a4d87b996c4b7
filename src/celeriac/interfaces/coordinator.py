"""The contract of agreeing: locks with an owner and an end, token buckets, counters."""

from __future__ import annotations

from typing import Protocol


class Coordinator(Protocol):
    """Small shared facts, every one of which ends by itself. Thread-safe. Raises `CoordinatorError` kin."""

    def acquire(self, name: str, *, owner: str, ttl: float) -> bool:
        """Take the lock `name` for `ttl` seconds, or renew it if `owner` has it. False when another has it."""

    def release(self, name: str, *, owner: str) -> bool:
        """Give the lock back. False when `owner` did not have it (any more)."""

    def holder(self, name: str) -> str | None:
        """Return who has the lock now, None when nobody has."""

    def take(self, bucket: str, *, tokens: float, rate: float, burst: float) -> float:
        """Take `tokens` from a bucket that fills by `rate` a second up to `burst`.

        Return 0.0 when they were granted, else the seconds until they could be; nothing was taken then.
        """

    def increment(self, name: str, *, by: int = 1, ttl: float) -> int:
        """Add to a counter that starts at 0 and ends `ttl` seconds after its last change. Return the new value."""

    def close(self) -> None:
        """Let go of every connection. Idempotent."""
