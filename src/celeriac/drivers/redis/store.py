"""Opening Redis or Valkey as a store."""

from __future__ import annotations

from typing import Final

from celeriac.drivers.redis.address import parse
from celeriac.drivers.redis.broker import RedisBroker
from celeriac.drivers.redis.client import Client
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.coordinator import RedisCoordinator
from celeriac.drivers.redis.dead_letters import RedisDeadLetters
from celeriac.drivers.redis.errors import BACKEND, BROKER, COORDINATOR
from celeriac.drivers.redis.groups import RedisGroups
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.pubsub import RedisPubSub
from celeriac.drivers.redis.results import RedisResults
from celeriac.drivers.redis.revocations import Heard, RedisRevocations
from celeriac.interfaces.store import Store, StoreOptions

__all__ = ["open_store"]

USED_OPTIONS: Final = frozenset(
    {
        "client_name",
        "fanout_prefix",
        "global_keyprefix",
        "master_name",
        "max_connections",
        "priority_steps",
        "result_chord_ordered",
        "sentinel_kwargs",
        "sep",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_keepalive_options",
        "socket_timeout",
        "unacked_index_key",
        "unacked_key",
        "visibility_timeout",
    }
)


def open_store(url: str, options: StoreOptions) -> Store:
    """Open the server that `url` names; nothing is connected yet. Raises `ImproperlyConfigured`."""
    address = parse(url, options)
    pool = Pool(address, options)
    keys, heard = Keys(options.transport_options), Heard()
    return Store(
        broker=RedisBroker(Client(pool, options.clock, BROKER), options.transport_options, heard),
        dead_letters=RedisDeadLetters(Client(pool, options.clock, BROKER), keys),
        pubsub=RedisPubSub(Client(pool, options.clock, BROKER), keys, options.transport_options),
        coordinator=RedisCoordinator(Client(pool, options.clock, COORDINATOR), keys),
        results=RedisResults(Client(pool, options.clock, BACKEND), options.transport_options),
        groups=RedisGroups(Client(pool, options.clock, BACKEND), options.transport_options),
        revocations=RedisRevocations(Client(pool, options.clock, COORDINATOR), keys, heard),
        used_options=USED_OPTIONS,
    )
