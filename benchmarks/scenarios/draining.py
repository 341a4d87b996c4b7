"""What scenarios with a full queue share: fill it, let the node rest, let it loose, wait until all is done."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.site import POLL, Cost, Site
from benchmarks.stores import RabbitStore, RedisStore
from benchmarks.systems.system import TWO_ENGINES, Shape

REST = 0.5
"""Seconds for a worker to come to rest after its first task."""

RABBIT_POLL = 0.02
"""Seconds between two looks at RabbitMQ: each takes a millisecond."""


@dataclass(frozen=True, slots=True)
class Drain:
    """What it cost to run so many tasks. Memory is the node's PSS in bytes, before and after."""

    tasks: int
    cost: Cost
    commands: int
    memory_before: int
    memory_after: int

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.cost.wall

    @property
    def cpu(self) -> float:
        """Microseconds of CPU per task, of worker and broker."""
        return (self.cost.worker + self.cost.broker) / self.tasks * 1e6

    @property
    def worker_cpu(self) -> float:
        return self.cost.worker / self.tasks * 1e6

    @property
    def broker_cpu(self) -> float:
        return self.cost.broker / self.tasks * 1e6


def drain(  # noqa: PLR0913  what is drained, by whom, and how closely it is watched
    site: Site,
    tasks: int,
    *,
    task: str = "noop",
    value: Any = None,
    shape: Shape = TWO_ENGINES,
    poll: float = POLL,
) -> Drain:
    """Queue the tasks out of the worker's sight, start it, let it run one and rest, then release all at once.

    On RabbitMQ, where nothing can be hidden, the worker is stopped while they are queued.

    The end is noticed up to `poll` seconds late; each look takes a core for some 0.1 ms.
    """
    store = site.store
    if isinstance(store, RabbitStore):
        return _drain_frozen(site, store, tasks, task=task, value=value, shape=shape)
    server = store if isinstance(store, RedisStore) else None
    with site.client() as client:
        if tasks > 1:
            client.do("send_many", count=tasks - 1, task=task, value=value)
            store.hide()
        with site.worker(shape) as worker:
            client.do("round_trips", count=1, pause=0.0)
            time.sleep(REST)
            memory = worker.memory()
            if server:
                server.forget_commands()
            before = worker.cost()
            if tasks > 1:
                store.show()
            started = time.monotonic()  # to show many rows takes SQLite a while, and none can run before
            client.do("send", count=1, task=task, value=value)  # and this one tells a worker that sleeps
            site.wait_until_done(poll=poll)
            cost = replace(worker.cost() - before, wall=time.monotonic() - started)
            commands = server.commands() if server else 0
            return Drain(tasks, cost, commands, memory, worker.memory())


def _drain_frozen(  # noqa: PLR0913  as `drain`
    site: Site, store: RabbitStore, tasks: int, *, task: str, value: Any, shape: Shape
) -> Drain:
    with site.client() as client, site.worker(shape) as worker:
        client.do("round_trips", count=1, pause=0.0)
        time.sleep(REST)
        memory = worker.memory()
        with worker.frozen():
            client.do("send_many", count=tasks, task=task, value=value)
            store.wait_until_queued(tasks)
            before = worker.cost()
        site.wait_until_done(poll=RABBIT_POLL)
        return Drain(tasks, worker.cost() - before, 0, memory, worker.memory())
