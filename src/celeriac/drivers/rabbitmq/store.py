"""Opening RabbitMQ as a store."""

from __future__ import annotations

from typing import Final

from celeriac.drivers.rabbitmq.address import Address, parse
from celeriac.drivers.rabbitmq.broker import RabbitBroker
from celeriac.drivers.rabbitmq.connecting import Connector
from celeriac.drivers.rabbitmq.dead import Cemetery
from celeriac.drivers.rabbitmq.dead_letters import RabbitDeadLetters
from celeriac.drivers.rabbitmq.inbox import Inbox
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.pubsub import RabbitPubSub
from celeriac.drivers.rabbitmq.results import RabbitResults
from celeriac.drivers.rabbitmq.survey import Survey, TellsHeld
from celeriac.drivers.rabbitmq.topology import Topology
from celeriac.interfaces.store import Store, StoreOptions

__all__ = ["open_store"]

CONSUMER_TIMEOUT: Final = 1800.0
"""Seconds; the server's default."""
RPC_QUEUE_EXPIRES: Final = 300.0
"""Seconds after which the queue of a process's results goes, when the process has died or cannot reach the server."""
RPC_MAX_BYTES: Final = 64 << 20
"""How much a process keeps of results that came and that nobody has asked for."""
USED_OPTIONS: Final = frozenset(
    {
        "consumer_timeout",
        "dead_letter_queue_type",
        "login_method",
        "management_url",
        "rpc_max_bytes",
        "rpc_queue_expires",
    }
)


def open_store(url: str, options: StoreOptions) -> Store:
    """Open the server that `url` names; nothing is connected yet. Raises `ImproperlyConfigured`."""
    given = options.transport_options
    connector = Connector(parse(url, options), options)
    sending, taking = Links(connector, purpose="sending"), Links(connector, purpose="receiving")
    topology = Topology(options.find_queue, delay_type=options.delayed_queue_type)
    cemetery = Cemetery(sending, options.clock, queue_type=str(given.get("dead_letter_queue_type", "quorum")))
    inbox = Inbox(
        Links(connector, purpose="results"),
        expires=float(given.get("rpc_queue_expires") or RPC_QUEUE_EXPIRES),
        most_bytes=int(given.get("rpc_max_bytes") or RPC_MAX_BYTES),
        patience=options.socket_timeout,
    )
    broker = RabbitBroker(
        sending,
        taking,
        topology,
        cemetery,
        Survey(sending, topology, _management(connector.address, options)),
        inbox,
        clock=options.clock,
        priorities=options.priorities,
        consumer_timeout=float(given.get("consumer_timeout") or CONSUMER_TIMEOUT),
    )
    dead_letters = RabbitDeadLetters(sending, broker.publish)
    pubsub = RabbitPubSub(Links(connector, purpose="broadcasting"))
    results = RabbitResults(sending, inbox, serializer=options.result_serializer)
    return Store(broker=broker, dead_letters=dead_letters, pubsub=pubsub, results=results, used_options=USED_OPTIONS)


def _management(address: Address, options: StoreOptions) -> TellsHeld | None:
    url = options.transport_options.get("management_url")
    if not url:
        return None
    from celeriac.drivers.rabbitmq.management import Management  # noqa: PLC0415  HTTP and ssl take 4 MiB

    return Management(str(url), address, timeout=options.socket_timeout)
