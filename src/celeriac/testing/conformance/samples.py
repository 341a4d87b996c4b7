"""What the suite sends and how it waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from celeriac.exceptions import OperationalError
from celeriac.interfaces.broker import Broker, Delivery, Lease, Outgoing, QueueStats, Route, Terms
from celeriac.testing.clock import FakeClock
from celeriac.wire.message import Message

T = TypeVar("T")

QUEUE = "work"
OWNER = "node@host"
LEASE = 30.0
"""Seconds of the scripted clock; it runs out only where a test advances the clock."""

DEADLINE = 15.0
"""Real seconds after which something that should have happened has failed."""


def message(name: int | str, **fields: Any) -> Message:
    """Make a message that `names` recognises."""
    headers = {"id": f"id-{name}", "task": "suite.task", "n": name}
    return Message(headers=headers, body=b'[[], {}, {"callbacks": null}]', **fields)


def outgoing(
    name: int | str, *, queue: str = QUEUE, priority: int | None = None, not_before: float | None = None
) -> Outgoing:
    """Make something to send to `queue`."""
    route = Route(queue=queue, exchange="", routing_key=queue)
    return Outgoing(route=route, message=message(name), priority=priority, not_before=not_before)


def send(broker: Broker, *names: int | str, queue: str = QUEUE, priority: int | None = None) -> None:
    """Send one message for each name, in one batch."""
    broker.send([outgoing(name, queue=queue, priority=priority) for name in names])


def receive(
    broker: Broker, *queues: str, limit: int = 100, wait: float = 0.0, lease: float = LEASE, freely: int = sys.maxsize
) -> Sequence[Delivery]:
    """Receive from the queues, from `QUEUE` when none is named."""
    return broker.receive(queues or (QUEUE,), Terms(limit=limit, lease=lease, owner=OWNER, freely=freely), wait=wait)


def names(deliveries: Iterable[Delivery]) -> list[Any]:
    """Return what the deliveries' messages were named by `message`."""
    return [name(delivery) for delivery in deliveries]


def name(delivery: Delivery) -> Any:
    """Return what one delivery's message was named."""
    assert isinstance(delivery.message, Message), delivery.message
    return delivery.message.headers["n"]


def leases(deliveries: Iterable[Delivery]) -> list[Lease]:
    """Return the deliveries' leases."""
    return [delivery.lease for delivery in deliveries]


def drain(broker: Broker, *queues: str) -> list[Any]:
    """Receive and acknowledge until nothing is ready; return the names in order."""
    found: list[Any] = []
    while deliveries := receive(broker, *queues):
        assert list(broker.ack(leases(deliveries))) == []
        found += names(deliveries)
    return found


def lapse(holder: Broker, keeper: Broker, clock: FakeClock, *, lease: float = LEASE) -> None:
    """Let what `holder` holds come back: its leases run out, or its connection ends where that is what counts."""
    if keeper.capabilities.leases:
        clock.advance(lease + 1)
    else:
        holder.close()
    keeper.upkeep(limit=1000)


def levels(broker: Broker) -> list[int]:
    """Return priorities that the store tells apart, the most urgent first."""
    count = broker.capabilities.priorities
    apart = list(range(10)) if count >= 10 else [0, 3, 6, 9] if count >= 4 else [0, 9] if count >= 2 else [0]
    return apart if broker.capabilities.most_urgent == "lowest" else apart[::-1]


def told(count: int | None, expected: int) -> int:
    """Return the count of a `QueueStats`, or what is expected where the store cannot tell."""
    return expected if count is None else count


def is_empty(stats: QueueStats) -> bool:
    """Tell whether nothing is in a queue, as far as the store can tell."""
    return not (stats.ready or stats.delayed or stats.leased or stats.dead) and stats.oldest_age is None


def marks(broker: Broker, deliveries: Iterable[Delivery]) -> list[bool]:
    """Return which deliveries a holder had when it died; none where the store cannot tell that from giving back."""
    tells = broker.capabilities.tells_deaths
    return [delivery.redelivered and tells for delivery in deliveries]


@contextmanager
def in_thread(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Run `call` in a thread that is already waiting, most likely, when the block begins."""
    with ThreadPoolExecutor(1, thread_name_prefix="suite") as pool:
        future = pool.submit(call)
        time.sleep(0.1)
        yield future


def eventually(probe: Callable[[], T]) -> T:
    """Return the first truthy answer of `probe`; fail after `DEADLINE`."""
    end = time.monotonic() + DEADLINE
    while not (answer := probe()):
        assert time.monotonic() < end, f"not within {DEADLINE} s; last answer: {answer!r}"
        time.sleep(0.01)
    return answer


def until_it_passes(call: Callable[[], T]) -> T:
    """Repeat a call that a lost connection cuts short, as every caller of an at-least-once store must."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return call()
        except OperationalError:
            assert time.monotonic() < end, "the store stayed away"
