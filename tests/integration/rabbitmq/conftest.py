"""Nodes of RabbitMQ for tests: one that all tests of a process share, and ones of a test's own."""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.drivers import load
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store, StoreOptions
from tests.servers.certificates import ServerMissing
from tests.servers.rabbitmq import RabbitServer


@functools.cache
def shared_node() -> RabbitServer:
    return RabbitServer(tls=True).start()


def node_or_skip(start: Callable[[], RabbitServer]) -> RabbitServer:
    """Return what `start` returns; without RabbitMQ skip, or fail where ``CELERIAC_REQUIRE`` names it."""
    try:
        return start()
    except ServerMissing as missing:
        if "rabbitmq" in os.environ.get("CELERIAC_REQUIRE", "").split(","):
            pytest.fail(f"CELERIAC_REQUIRE names rabbitmq: {missing}")
        pytest.skip(str(missing))


@pytest.fixture
def node() -> RabbitServer:
    """A node that other tests use too: take a virtual host of your own, and leave it running."""
    return node_or_skip(shared_node)


@pytest.fixture
def own_node() -> Iterator[RabbitServer]:
    """A node for this test alone, to be stopped and started at will; its data survives."""
    server = node_or_skip(lambda: RabbitServer().start())
    yield server
    server.remove()


@pytest.fixture
def url(node: RabbitServer) -> Iterator[str]:
    """A virtual host for this test alone."""
    name = uuid.uuid4().hex
    yield node.new_vhost(name)
    node.drop_vhost(name)


@pytest.fixture
def open_store() -> Iterator[Callable[..., Store]]:
    """Open stores that are closed after the test."""
    stores: list[Store] = []

    def open_one(url: str, **options: Any) -> Store:
        stores.append(load(url, StoreOptions(**{"delayed_queue_type": "classic", **options})))
        return stores[-1]

    yield open_one
    for store in stores:
        assert store.broker is not None
        store.broker.close()


@pytest.fixture
def broker(open_store: Callable[..., Store], url: str) -> Broker:
    opened = open_store(url).broker
    assert opened is not None
    return opened
