"""How queues stand: what the server tells any client, and the management plugin where it may be asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from celeriac.drivers.rabbitmq.dead import dead_queue
from celeriac.drivers.rabbitmq.errors import NOT_FOUND, ChannelClosed
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.topology import Topology, count_ready
from celeriac.interfaces.broker import QueueStats

__all__ = ["Survey", "TellsHeld"]

_AGAIN: Final = 0.01
"""Seconds until a queue that is said to be empty is asked again."""


class TellsHeld(Protocol):
    """Who can tell how many messages of each queue are held: see `Management`."""

    def held(self) -> Mapping[str, int]: ...


class Survey:
    """Counts. Thread-safe. Raises `WireError` kin."""

    def __init__(self, links: Links, topology: Topology, management: TellsHeld | None) -> None:
        self._links = links
        self._topology = topology
        self._management = management

    def stats(self, queues: Sequence[str]) -> dict[str, QueueStats]:
        held = None if self._management is None else self._management.held()
        found = {}
        for queue in queues:
            ready, dead = self._count(queue), self._count(dead_queue(queue))
            leased = None if held is None else held.get(queue, 0)
            found[queue] = QueueStats(ready=ready, delayed=None, leased=leased, dead=dead)
        return found

    def names(self) -> list[str]:
        """Return the queues that are known to be there, sorted."""
        known = self._topology.names()
        return known if self._management is None else sorted({*known, *self._management.held()})

    def purge(self, queue: str) -> int:
        """Remove what is ready. Return how many were removed."""
        try:
            with self._links.channel() as channel:
                removed: int = channel.call("queue.purge", 0, queue, False).arguments[0]
                return removed
        except ChannelClosed as error:
            if error.code == NOT_FOUND:
                return 0
            raise

    def _count(self, queue: str) -> int:
        try:
            with self._links.channel() as channel:
                ready = count_ready(channel, queue)
                if not ready:  # or nobody could be asked
                    time.sleep(_AGAIN)
                    ready = count_ready(channel, queue)
                return ready
        except ChannelClosed as error:
            if error.code == NOT_FOUND:
                return 0
            raise
