"""What integration tests share: servers for all tests of a process."""

from __future__ import annotations

import functools
import uuid

import pytest

from tests.servers.missing import or_skip
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer

QUICK_TO_TELL = "{rabbit,[{quorum_tick_interval,200}]}"
"""Configuration of a node that counts what is held of quorum queues each 200 ms, not each 5 s."""


@functools.cache
def shared_server() -> RedisServer:
    return RedisServer(durable=True, options={"appendfsync": "everysec"}).start()


@functools.cache
def shared_node() -> RabbitServer:
    return RabbitServer(tls=True, advanced=QUICK_TO_TELL).start()


@pytest.fixture
def node() -> RabbitServer:
    """A node that other tests use too: take a virtual host of your own, and leave it running."""
    return or_skip(shared_node, "rabbitmq")


@pytest.fixture
def rabbitmq_vhost(node: RabbitServer):
    """A virtual host for this test alone; its URL."""
    name = uuid.uuid4().hex
    yield node.new_vhost(name)
    node.drop_vhost(name)


@pytest.fixture
def redis_server() -> RedisServer:
    """A server that other tests use too: take a key prefix of your own, and leave it running."""
    return or_skip(shared_server, "redis")


@pytest.fixture
def own_redis_server():
    """A server for this test alone, to be stopped and started at will; its data survives."""
    server = or_skip(lambda: RedisServer(durable=True).start(), "redis")
    yield server
    server.remove()
