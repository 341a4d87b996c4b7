"""A node of a test's own, and stores that are closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.drivers import load
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store, StoreOptions
from tests.servers.missing import or_skip
from tests.servers.rabbitmq import RabbitServer


@pytest.fixture
def own_node() -> Iterator[RabbitServer]:
    """A node for this test alone, to be stopped and started at will; its data survives."""
    server = or_skip(lambda: RabbitServer().start(), "rabbitmq")
    yield server
    server.remove()


@pytest.fixture
def url(rabbitmq_vhost: str) -> str:
    """A virtual host for this test alone."""
    return rabbitmq_vhost


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
