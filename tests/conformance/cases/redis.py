"""`redis://`: the namespace is a key prefix on a server that the suite starts once for all its cases."""

from __future__ import annotations

import functools
import time
import uuid
from pathlib import Path

import redis

from celeriac.drivers import load
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case
from tests.servers.redis import RedisServer

KEPT = ("celeriac:delayed", "celeriac:dead", "celeriac:queues")
"""Keys of ours that hold messages or the names of queues, and so have no end."""


@functools.cache
def server() -> RedisServer:
    return RedisServer().start()


def make(_workspace: Path, clock: FakeClock) -> Case:
    url = server().url
    name = uuid.uuid4().hex
    options = StoreOptions(
        clock=clock, client_name=name, transport_options={"global_keyprefix": f"{name}:", "visibility_timeout": 100}
    )
    # Delayed messages are kept while some node of ours is alive, which its upkeep says.
    node = load(url, options)
    assert node.broker is not None
    node.broker.upkeep(limit=1)
    node.broker.close()
    outside = server().client()
    return Case(
        name="redis",
        open=lambda: load(url, options),
        inject_raw=lambda queue, raw: outside.lpush(f"{name}:{queue}", raw),
        expires_by_clock=False,
        find_leaks=lambda: find_leaks(outside, name),
    )


def find_leaks(outside: redis.Redis, name: str) -> list[str]:
    """Return connections that are open still, and ephemeral keys of ours without an end."""
    leaks = [f"connection {one['id']}, last command {one['cmd']}" for one in _connections(outside, name)]
    for key in outside.scan_iter(f"{name}:celeriac:*", count=1000):
        own = key.decode().removeprefix(f"{name}:")
        if not own.startswith(KEPT) and outside.ttl(key) == -1:
            leaks.append(f"key {own} has no end")
    outside.close()
    return leaks


def _connections(outside: redis.Redis, name: str) -> list[dict[str, str]]:
    deadline = time.monotonic() + 2.0
    while True:
        found = [one for one in outside.client_list() if one["name"] == name]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)
