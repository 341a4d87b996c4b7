"""Where a message goes: queues as configured, and the route of one task. Pure rules, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class QueueSpec(Struct, frozen=True):
    """A queue as the application configured it. Stores without exchanges use `name` alone.

    `arguments` are AMQP's queue arguments (``x-max-priority``, ``x-queue-type`` ...), passed through.
    """

    name: str
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: Mapping[str, Any] = {}


class Route(Struct, frozen=True):
    """Where a message goes. `queue` is always resolved; RabbitMQ publishes to `exchange` with `routing_key`."""

    queue: str
    exchange: str = ""
    routing_key: str = ""
