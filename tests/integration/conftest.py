"""What integration tests share: a Redis server for all tests of a process, and rows for the stores."""

from __future__ import annotations

import functools
import os

import pytest

from tests.servers.redis import RedisServer, ServerMissing


@functools.cache
def shared_server() -> RedisServer:
    return RedisServer(durable=True, options={"appendfsync": "everysec"}).start()


def redis_or_skip(start):
    """Return what `start` returns; without a redis-server skip, or fail where ``CELERIAC_REQUIRE`` names it."""
    try:
        return start()
    except ServerMissing as missing:
        if "redis" in os.environ.get("CELERIAC_REQUIRE", "").split(","):
            pytest.fail(f"CELERIAC_REQUIRE names redis: {missing}")
        pytest.skip(str(missing))


@pytest.fixture
def redis_server() -> RedisServer:
    """A server that other tests use too: take a key prefix of your own, and leave it running."""
    return redis_or_skip(shared_server)


@pytest.fixture
def own_redis_server():
    """A server for this test alone, to be stopped and started at will; its data survives."""
    server = redis_or_skip(lambda: RedisServer(durable=True).start())
    yield server
    server.remove()
