"""One store: those of the contracts that it can serve, and what it is opened with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.dead_letters import DeadLetters
from celeriac.interfaces.groups import GroupStore
from celeriac.interfaces.pubsub import PubSub
from celeriac.interfaces.results import ResultBackend
from celeriac.interfaces.revocations import RevocationStore
from celeriac.routing.queues import QueueSpec


class StoreOptions(Struct, frozen=True):
    """What a driver is told when it opens a store. All spans are seconds.

    `connect_timeout` bounds the making of a connection; `socket_timeout` bounds every answer, so that no caller hangs
    on a half-open connection. `transport_options` are the user's ``broker_transport_options`` or
    ``result_backend_transport_options``; `tls` is ``broker_use_ssl`` or ``redis_backend_use_ssl`` (True for the
    defaults, or a mapping of the ssl module's names). `client_name` shows up in the server's list of clients.
    `directory` is what a relative path is relative to, None for the working directory. `find_queue` tells how the
    application wants a queue that is not there yet; `priorities` is how many levels its queues are to tell apart where
    that is a property of the queue. `delayed_queue_type` is the type of queues that a driver makes to delay messages,
    `heartbeat` how often a connection shall prove that it is alive (None: as the server proposes), `login_method` how
    to log in, None for the usual one. `result_serializer` names what results are written with, for a store that tells
    their readers.
    """

    transport_options: Mapping[str, Any] = {}
    tls: bool | Mapping[str, Any] = False
    connect_timeout: float = 4.0
    socket_timeout: float = 15.0
    client_name: str = "celeriac"
    clock: Clock = SYSTEM_CLOCK
    directory: str | None = None
    find_queue: Callable[[str], QueueSpec] = QueueSpec
    priorities: int = 1
    delayed_queue_type: str = "quorum"
    heartbeat: float | None = None
    login_method: str | None = None
    result_serializer: str = "json"


class Store(Struct, frozen=True):
    """An opened store: nothing is connected yet. None stands for a contract that the store cannot serve.

    `used_options` names the transport options that the driver understands, so that the others can be named once.
    """

    broker: Broker | None = None
    dead_letters: DeadLetters | None = None
    pubsub: PubSub | None = None
    coordinator: Coordinator | None = None
    results: ResultBackend | None = None
    groups: GroupStore | None = None
    revocations: RevocationStore | None = None
    used_options: frozenset[str] = frozenset()
