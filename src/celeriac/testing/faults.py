"""Stores that fail on a schedule, and callers that try again: what at-least-once has to survive.

`FaultyBroker` and `FaultyResults` stand before a real store and raise `BrokerUnavailable` or `BackendError` either
before the call reaches it or after it was done and only the answer is lost. `RetryingBroker` and `RetryingResults`
are callers that repeat what failed, as the core does.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import TypeAlias, TypeVar

from celeriac.exceptions import BackendError, BrokerError, BrokerUnavailable, OperationalError, SendIncomplete
from celeriac.interfaces.broker import (
    Broker,
    BrokerCapabilities,
    Delivery,
    Lease,
    Nonce,
    Outgoing,
    QueueSpec,
    QueueStats,
    Terms,
    Upkeep,
)
from celeriac.interfaces.results import Mailbox, ResultBackend, ResultListener, ResultRecord

T = TypeVar("T")

Told: TypeAlias = Mapping[str, bytes]
"""What a listener tells: payloads by id."""

ATTEMPTS = 30
"""How often a call is made before its error is let through. Schedules fail one call in two or three, counted over all
threads, so that this many in a row do not happen."""


class Fault(Enum):
    """Where a call is cut: before the store sees it, or after the store has done it."""

    BEFORE = "before"
    AFTER = "after"


class FaultSchedule:
    """Says which calls fail: one in `every` on the average, taking the `faults` in turn. Thread-safe.

    Which ones is drawn from `seed`, so a run can be repeated, and no caller's own rhythm falls in with the faults.
    `struck` counts the faults so far.
    """

    def __init__(self, *faults: Fault, every: int = 2, seed: int = 1) -> None:
        if every < 2 or not faults:
            raise ValueError("a schedule needs a fault and lets at least every other call pass")
        self._faults = faults
        self._every = every
        self._counting = threading.Lock()
        self._random = random.Random(seed)
        self.struck: int = 0

    def next(self) -> Fault | None:
        """Return the fault of the call that starts now, None when it may pass."""
        with self._counting:
            if self._random.randrange(self._every):
                return None
            fault = self._faults[self.struck % len(self._faults)]
            self.struck += 1
            return fault

    def run(self, call: Callable[[], T], *, error: type[OperationalError]) -> T:
        """Make the call, with the fault that is its turn."""
        fault = self.next()
        if fault is Fault.BEFORE:
            raise error("scheduled fault: the connection was lost before the call")
        answer = call()
        if fault is Fault.AFTER:
            raise error("scheduled fault: the connection was lost before the answer")
        return answer


class BrokerBefore:
    """A broker that hands every call on to another through `_call`; the base of the two below."""

    def __init__(self, inner: Broker) -> None:
        self._inner = inner

    def _call(self, call: Callable[[], T]) -> T:
        return call()

    @property
    def capabilities(self) -> BrokerCapabilities:
        return self._inner.capabilities

    @property
    def location(self) -> str:
        return self._inner.location

    def connect(self) -> None:
        self._call(self._inner.connect)

    def close(self) -> None:
        self._inner.close()

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        self._call(lambda: self._inner.declare(queues))

    def check_queue(self, name: str) -> None:
        self._inner.check_queue(name)

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        self._call(lambda: self._inner.send(outgoing, nonce=nonce))

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        return self._call(lambda: self._inner.receive(queues, terms, wait=wait))

    def ack_and_receive(
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        return self._call(
            lambda: self._inner.ack_and_receive(leases, queues, terms, follow_ups=follow_ups, results=results)
        )

    def interrupt(self) -> None:
        self._inner.interrupt()

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:
        return self._call(lambda: self._inner.watch(queues, wait=wait))

    def rely_on_watch(self) -> None:
        self._inner.rely_on_watch()

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        return self._call(lambda: self._inner.extend(leases, lease=lease))

    def ack(
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> Sequence[Lease]:
        return self._call(lambda: self._inner.ack(leases, follow_ups=follow_ups, results=results))

    def requeue(self, leases: Sequence[Lease], *, delay: float = 0.0, redelivered: bool = False) -> Sequence[Lease]:
        return self._call(lambda: self._inner.requeue(leases, delay=delay, redelivered=redelivered))

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        return self._call(lambda: self._inner.reject(leases, reason=reason))

    def take_custody(self) -> str:
        return self._inner.take_custody()

    def entrust(self, custodian: str) -> None:
        self._inner.entrust(custodian)

    def held_by(self, owner: str) -> Sequence[Lease]:
        return self._call(lambda: self._inner.held_by(owner))

    def brace(self, lease: Lease) -> bool:
        return self._call(lambda: self._inner.brace(lease))

    def upkeep(self, *, limit: int) -> Upkeep:
        return self._call(lambda: self._inner.upkeep(limit=limit))

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        return self._call(lambda: self._inner.stats(queues))

    def queues(self) -> Sequence[str]:
        return self._call(self._inner.queues)

    def purge(self, queue: str) -> int:
        return self._call(lambda: self._inner.purge(queue))


class FaultyBroker(BrokerBefore):
    """A broker whose calls raise `BrokerUnavailable` as `schedule` says. `close` and `interrupt` never fail."""

    def __init__(self, inner: Broker, schedule: FaultSchedule) -> None:
        super().__init__(inner)
        self._schedule = schedule

    def _call(self, call: Callable[[], T]) -> T:
        return self._schedule.run(call, error=BrokerUnavailable)


class RetryingBroker(BrokerBefore):
    """A caller that repeats what failed: at least once, perhaps more often."""

    def _call(self, call: Callable[[], T]) -> T:
        return _repeat(call, BrokerError)

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:  # noqa: ARG002  it doubles
        """Send; after a partial failure only what the store has not is sent again."""
        rest = list(outgoing)

        def send_rest() -> None:
            nonlocal rest
            try:
                self._inner.send(rest)
            except SendIncomplete as error:
                rest = [rest[position] for position in error.unsent]
                raise

        self._call(send_rest)


class ResultsBefore:
    """A result backend that hands every call on to another through `_call`; the base of the two below."""

    def __init__(self, inner: ResultBackend) -> None:
        self._inner = inner

    def _call(self, call: Callable[[], T]) -> T:
        return call()

    @property
    def location(self) -> str:
        return self._inner.location

    @property
    def mailbox(self) -> Mailbox | None:
        return self._inner.mailbox

    def connect(self) -> None:
        self._call(self._inner.connect)

    def close(self) -> None:
        self._inner.close()

    def store(self, records: Sequence[ResultRecord]) -> None:
        self._call(lambda: self._inner.store(records))

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._call(lambda: self._inner.fetch(ids))

    def listen(self, ids: Sequence[str] = ()) -> ResultListener:
        return _ListenerBefore(self._inner.listen(ids), ids, self._call)

    def forget(self, ids: Sequence[str]) -> None:
        self._call(lambda: self._inner.forget(ids))

    def sweep(self, *, limit: int) -> int:
        return self._call(lambda: self._inner.sweep(limit=limit))


class _ListenerBefore:
    """A listener whose waits go through a `call`, which may repeat them: what it waits for is looked for each time."""

    def __init__(self, inner: ResultListener, ids: Sequence[str], call: Callable[[Callable[[], Told]], Told]) -> None:
        self._inner = inner
        self._ids = set(ids)
        self._call = call

    def add(self, ids: Collection[str]) -> None:
        self._ids.update(ids)
        self._inner.add(ids)

    def discard(self, ids: Collection[str]) -> None:
        self._ids.difference_update(ids)
        self._inner.discard(ids)

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        return self._call(lambda: self._look_and_wait(timeout))

    def close(self) -> None:
        self._inner.close()

    def _look_and_wait(self, timeout: float) -> Told:
        self._inner.add(list(self._ids))
        return self._inner.get(timeout=timeout)


class FaultyResults(ResultsBefore):
    """A result backend whose calls raise `BackendError` as `schedule` says. `close` never fails."""

    def __init__(self, inner: ResultBackend, schedule: FaultSchedule) -> None:
        super().__init__(inner)
        self._schedule = schedule

    def _call(self, call: Callable[[], T]) -> T:
        return self._schedule.run(call, error=BackendError)


class RetryingResults(ResultsBefore):
    """A caller that repeats what failed."""

    def _call(self, call: Callable[[], T]) -> T:
        return _repeat(call, BackendError)


def _repeat(call: Callable[[], T], error: type[OperationalError]) -> T:
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except error:
            continue
    return call()
