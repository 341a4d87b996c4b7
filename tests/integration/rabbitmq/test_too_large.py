"""What is larger than the server takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celeriac.exceptions import BrokerError, BrokerUnavailable
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.testing.conformance.samples import drain, send
from celeriac.wire.message import Message
from tests.servers.missing import or_skip
from tests.servers.rabbitmq import RabbitServer

LIMITS = {"max_message_size": "100000", "frame_max": "8192"}


@pytest.fixture(scope="module")
def narrow_node() -> Iterator[RabbitServer]:
    """A node that takes little at once."""
    server = or_skip(lambda: RabbitServer(config=LIMITS).start(), "rabbitmq")
    yield server
    server.remove()


@pytest.mark.parametrize(
    ("large", "told"),
    [
        (({"large": "x" * 9000}, b""), r"headers of 90.. bytes are larger than a frame of 8192"),
        (({}, b"x" * 200_000), "larger than the server takes: raise its max_message_size"),
    ],
    ids=["headers", "body"],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_is_too_large_is_said_to_be_and_hurts_no_other(narrow_node, open_store, large, told, count):
    broker = open_store(narrow_node.new_vhost(f"{len(large[1])}-{count}")).broker
    send(broker, 1)
    connected = narrow_node.call("rabbit_networking", "connections")
    headers, body = large
    outgoing = Outgoing(Route("work"), Message({"id": "2", "task": "t", **headers}, body))
    with pytest.raises(BrokerError, match=told) as caught:
        broker.send([outgoing] * count)
    assert caught.value.is_for_good
    assert not isinstance(caught.value, BrokerUnavailable)
    assert narrow_node.call("rabbit_networking", "connections") == connected
    assert drain(broker) == [1]
