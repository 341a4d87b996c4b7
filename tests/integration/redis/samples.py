"""Messages and shorthand for the tests of the Redis driver."""

from __future__ import annotations

from collections.abc import Sequence

from celeriac.interfaces.broker import Broker, Delivery, Lease, Outgoing, Route, Terms
from celeriac.interfaces.store import Store
from celeriac.wire import envelope
from celeriac.wire.message import Message

DEADLINE = 15.0


def message(name: object = 1) -> Message:
    return Message({"task": "tests.note", "id": str(name)}, b"[[],{},null]")


def outgoing(
    name: object = 1, *, queue: str = "q", priority: int | None = None, after: float | None = None
) -> Outgoing:
    return Outgoing(Route(queue), message(name), priority, after)


def broker_of(store: Store) -> Broker:
    assert store.broker is not None
    return store.broker


def receive(broker: Broker, *queues: str, limit: int = 10, wait: float = 0.0, lease: float = 30.0) -> list[Delivery]:
    return list(broker.receive(queues or ("q",), Terms(limit=limit, lease=lease, owner="engine"), wait=wait))


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [one.message.headers["id"] for one in deliveries if isinstance(one.message, Message)]


def leases(deliveries: Sequence[Delivery]) -> list[Lease]:
    return [one.lease for one in deliveries]


def stock_envelope(name: object, *, exchange: str = "", routing_key: str = "q", priority: int = 0) -> bytes:
    """Return an envelope as stock kombu's JSON writes it: headers first, spaces, a body in base64."""
    return (
        '{"body": "W1tdLCB7fSwgbnVsbF0=", "content-encoding": "utf-8", "content-type": "application/json", '
        f'"headers": {{"task": "tests.note", "id": "{name}", "stamps": {{}}, "list": []}}, '
        f'"properties": {{"delivery_mode": 2, "delivery_info": {{"exchange": "{exchange}", '
        f'"routing_key": "{routing_key}"}}, "priority": {priority}, "body_encoding": "base64", '
        f'"delivery_tag": "tag-{name}"}}}}'
    ).encode()


def raw_of(name: object) -> bytes:
    return envelope.encode(message(name), exchange="", routing_key="q", priority=None, delivery_tag=f"tag-{name}")
