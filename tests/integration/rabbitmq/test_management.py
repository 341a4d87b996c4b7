"""Queue statistics from the management plugin of a real node."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from celeriac.exceptions import BrokerUnavailable, ImproperlyConfigured
from celeriac.interfaces.broker import Outgoing, QueueSpec, Route, Terms
from celeriac.wire.message import Message
from tests.integration.conftest import QUICK_TO_TELL
from tests.integration.worker.node import until
from tests.servers.missing import or_skip
from tests.servers.ports import free_port
from tests.servers.rabbitmq import RabbitServer

pytestmark = pytest.mark.timeout(60)

PORT = free_port()


@pytest.fixture(scope="module")
def managed_node() -> Iterator[RabbitServer]:
    config = {"management.tcp.ip": "127.0.0.1", "management.tcp.port": str(PORT)}
    plugins = ["rabbitmq_management"]
    server = or_skip(lambda: RabbitServer(plugins=plugins, config=config, advanced=QUICK_TO_TELL).start(), "rabbitmq")
    yield server
    server.remove()


@pytest.fixture
def url(managed_node: RabbitServer) -> Iterator[str]:
    name = f"a/b {uuid.uuid4().hex}"
    managed_node.new_vhost(name)
    yield managed_node.url_at(managed_node.port).removesuffix("/") + name.replace("/", "%2F").replace(" ", "%20")
    managed_node.drop_vhost(name)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_what_is_held_and_every_queue_are_told(open_store, url, queue_type):
    plain = open_store(url).broker
    managed = open_store(url, transport_options={"management_url": f"http://127.0.0.1:{PORT}"}).broker
    plain.declare([QueueSpec("mail", arguments={"x-queue-type": queue_type})])
    plain.send([Outgoing(Route("mail"), Message({"task": "t", "id": str(n)}, b"[[], {}, {}]")) for n in range(5)])
    taken = plain.receive(["mail"], Terms(limit=3, lease=60.0, owner="test"), wait=5.0)
    assert len(taken) == 3
    until(lambda: managed.stats(["mail"])["mail"].leased == 3, "the statistics")
    assert managed.stats(["mail", "none"])["mail"].ready == 2
    assert managed.stats(["none"])["none"].leased == 0
    assert plain.stats(["mail"])["mail"].leased is None
    assert managed.queues() == ["mail"]
    plain.reject([taken[0].lease], reason="a test wants it")
    until(lambda: managed.stats(["mail"])["mail"].leased == 2, "the statistics")
    assert managed.queues() == ["mail"], "what is made beside the work is no work"


@pytest.mark.parametrize(
    ("management_url", "told"),
    [
        ("http://guest:wrong@127.0.0.1:{port}", "says 401.* Are user, password"),
        ("http://127.0.0.1:{port}/elsewhere", "says 40[04]"),
        ("http://127.0.0.1:1", "does not answer: .*Connection refused"),
    ],
)
def test_a_plugin_that_cannot_be_asked_is_an_error_that_names_it(open_store, url, management_url, told):
    broker = open_store(url, transport_options={"management_url": management_url.format(port=PORT)}).broker
    with pytest.raises(BrokerUnavailable, match=f"management plugin at http://127.0.0.1:.*{told}") as raised:
        broker.stats(["mail"])
    assert "wrong" not in str(raised.value)


def test_a_url_that_is_none_is_refused(open_store, url):
    with pytest.raises(ImproperlyConfigured, match="management_url"):
        open_store(url, transport_options={"management_url": "localhost:15672"})
