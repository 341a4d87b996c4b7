"""Locks, token buckets and counters, each one key that ends by itself."""

from __future__ import annotations

import math

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.scripts import ACQUIRE, INCREMENT, RELEASE, TAKE

__all__ = ["RedisCoordinator"]


class RedisCoordinator:
    """Small shared facts in Redis. Implements `Coordinator`. Ends are kept by the server's clock."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def acquire(self, name: str, *, owner: str, ttl: float) -> bool:
        command = call_script(ACQUIRE, (self._keys.own("lock", name),), (owner, _milliseconds(ttl)))
        return bool(self._client.one(command, doing=f"taking the lock {name!r}"))

    def release(self, name: str, *, owner: str) -> bool:
        command = call_script(RELEASE, (self._keys.own("lock", name),), (owner,))
        return bool(self._client.one(command, doing=f"giving back the lock {name!r}"))

    def holder(self, name: str) -> str | None:
        holder = self._client.one(("GET", self._keys.own("lock", name)), doing=f"reading the lock {name!r}")
        return None if holder is None else holder.decode()

    def take(self, bucket: str, *, tokens: float, rate: float, burst: float) -> float:
        arguments = (tokens, rate, burst, self._client.now())
        command = call_script(TAKE, (self._keys.own("bucket", bucket),), arguments)
        return float(self._client.one(command, doing=f"taking from the bucket {bucket!r}"))

    def increment(self, name: str, *, by: int = 1, ttl: float) -> int:
        command = call_script(INCREMENT, (self._keys.own("counter", name),), (by, _milliseconds(ttl)))
        return int(self._client.one(command, doing=f"counting {name!r}"))

    def close(self) -> None:
        self._client.pool.close()


def _milliseconds(span: float) -> int:
    return max(1, math.ceil(span * 1000))
