"""Opening RabbitMQ as a store."""

from __future__ import annotations

from typing import Final

from celeriac.drivers.rabbitmq.address import parse
from celeriac.drivers.rabbitmq.broker import RabbitBroker
from celeriac.drivers.rabbitmq.connecting import Connector
from celeriac.drivers.rabbitmq.dead import Cemetery
from celeriac.drivers.rabbitmq.dead_letters import RabbitDeadLetters
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.pubsub import RabbitPubSub
from celeriac.drivers.rabbitmq.topology import Topology
from celeriac.interfaces.store import Store, StoreOptions

__all__ = ["open_store"]

CONSUMER_TIMEOUT: Final = 1800.0
"""Seconds; the server's default."""
USED_OPTIONS: Final = frozenset({"consumer_timeout", "dead_letter_queue_type", "login_method"})


def open_store(url: str, options: StoreOptions) -> Store:
    """Open the server that `url` names; nothing is connected yet. Raises `ImproperlyConfigured`."""
    given = options.transport_options
    connector = Connector(parse(url, options), options)
    sending, taking = Links(connector, purpose="sending"), Links(connector, purpose="receiving")
    topology = Topology(options.find_queue, delay_type=options.delayed_queue_type)
    cemetery = Cemetery(sending, options.clock, queue_type=str(given.get("dead_letter_queue_type", "quorum")))
    broker = RabbitBroker(
        sending,
        taking,
        topology,
        cemetery,
        clock=options.clock,
        priorities=options.priorities,
        consumer_timeout=float(given.get("consumer_timeout") or CONSUMER_TIMEOUT),
    )
    dead_letters = RabbitDeadLetters(sending, broker.ensure)
    pubsub = RabbitPubSub(Links(connector, purpose="broadcasting"))
    return Store(broker=broker, dead_letters=dead_letters, pubsub=pubsub, used_options=USED_OPTIONS)
