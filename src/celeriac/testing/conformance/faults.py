"""What must hold when connections are lost before a call, or after the store has done it.

A ledger outside the store counts: what was accepted is done at least once, what is done twice was sent or received
twice because an answer was lost, and nothing stays behind.
"""

from __future__ import annotations

from collections import Counter

import pytest

from celeriac import states
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.results import ResultBackend
from celeriac.result.waiting import wait_for
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.results import payload, record
from celeriac.testing.conformance.samples import (
    LEASE,
    QUEUE,
    is_empty,
    lapse,
    leases,
    names,
    outgoing,
    receive,
    send,
    told,
)
from celeriac.testing.faults import (
    Fault,
    FaultSchedule,
    FaultyBroker,
    FaultyResults,
    RetryingBroker,
    RetryingResults,
)

PLANS = pytest.mark.parametrize(
    "plan",
    [(Fault.BEFORE,), (Fault.AFTER,), (Fault.AFTER, Fault.BEFORE)],
    ids=["before", "after", "mixed"],
)


@pytest.fixture
def schedule(plan: tuple[Fault, ...]) -> FaultSchedule:
    """Half of all calls fail, in the ways of the plan."""
    return FaultSchedule(*plan)


@PLANS
def test_through_lost_connections_every_message_is_done_at_least_once(
    broker: Broker, clock: FakeClock, schedule: FaultSchedule
) -> None:
    flaky = RetryingBroker(FaultyBroker(broker, schedule))
    done: Counter[object] = Counter()
    for first in range(0, 60, 3):
        send(flaky, first, first + 1, first + 2)
    for _ in range(200):
        deliveries = receive(flaky, limit=5)
        done.update(names(deliveries))
        flaky.ack(leases(deliveries))
        if not deliveries:
            lapse(broker, broker, clock)
            if not (broker.stats([QUEUE])[QUEUE].ready):
                break
    assert set(done) == set(range(60))
    stats = broker.stats([QUEUE])[QUEUE]
    assert is_empty(stats)
    assert schedule.struck > 0


@PLANS
def test_through_lost_connections_a_chain_of_follow_ups_reaches_its_end(
    broker: Broker, clock: FakeClock, schedule: FaultSchedule
) -> None:
    flaky = RetryingBroker(FaultyBroker(broker, schedule))
    send(flaky, 0)
    reached: set[object] = set()
    for _ in range(200):
        deliveries = receive(flaky, limit=5)
        for delivery in deliveries:
            (step,) = names([delivery])
            reached.add(step)
            follow_ups = {delivery.lease.tag: [outgoing(step + 1)]} if step < 10 else None
            flaky.ack([delivery.lease], follow_ups=follow_ups)
        if not deliveries:
            lapse(broker, broker, clock)
            if not broker.stats([QUEUE])[QUEUE].ready:
                break
    assert reached == set(range(11))


@PLANS
def test_through_lost_connections_what_is_given_back_or_rejected_is_so_once(
    broker: Broker, schedule: FaultSchedule
) -> None:
    send(broker, *range(10))
    held = leases(receive(broker, lease=LEASE))
    flaky = RetryingBroker(FaultyBroker(broker, schedule))
    for lease in held[:5]:
        flaky.requeue([lease])
    for lease in held[5:]:
        flaky.reject([lease], reason="poison")
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, told(stats.leased, 0)) == (5, 0)
    assert stats.dead == (5 if broker.capabilities.dead_letters else 0)


@PLANS
def test_through_lost_connections_results_are_whole_and_no_state_steps_back(
    results: ResultBackend, schedule: FaultSchedule
) -> None:
    flaky = RetryingResults(FaultyResults(results, schedule))
    ids = [f"id-{n}" for n in range(20)]
    for task_id in ids:
        flaky.store([record(task_id, states.STARTED)])
        flaky.store([record(task_id)])
        flaky.store([record(task_id, states.RETRY)])
    assert dict(flaky.fetch(ids)) == {task_id: payload(task_id) for task_id in ids}
    assert dict(wait_for(flaky, ids, timeout=5.0)) == {task_id: payload(task_id) for task_id in ids}
    flaky.forget(ids)
    assert dict(flaky.fetch(ids)) == {}
