"""Namespaces on a server that all tests share, and stores that are closed after the test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from celeriac.drivers import load
from celeriac.interfaces.store import Store, StoreOptions
from tests.faults.proxy import Proxy
from tests.servers.missing import or_skip
from tests.servers.redis import RedisServer

Open = Callable[..., Store]


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4().hex}:"


@pytest.fixture
def outside(redis_server: RedisServer) -> Iterator[Redis]:
    """Redis-py's own client of the shared server."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """A way to the shared server that misbehaves on demand."""
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def connect() -> Iterator[Open]:
    """Open a store by URL; it is closed after the test."""
    stores: list[Store] = []

    def open_one(url: str, **options: object) -> Store:
        stores.append(load(url, StoreOptions(**options)))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for store in stores:
        for part in (store.broker, store.pubsub, store.coordinator, store.results):
            assert part is not None
            part.close()


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], RedisServer]], RedisServer]]:
    """Start a server of another kind for this test alone, or skip where there is none."""
    servers: list[RedisServer] = []

    def start_one(make: Callable[[], RedisServer]) -> RedisServer:
        servers.append(or_skip(lambda: make().start(), "redis"))
        return servers[-1]

    yield start_one
    for server in servers:
        server.remove()


@pytest.fixture
def store(connect: Open, redis_server: RedisServer, prefix: str) -> Store:
    """A store in a namespace of its own on the shared server, with a node alive."""
    opened = connect(redis_server.url, transport_options={"global_keyprefix": prefix})
    assert opened.broker is not None
    opened.broker.upkeep(limit=1)
    return opened
