"""What goes along with an acknowledgement: what follows, the next claim, results."""

from __future__ import annotations

import pytest

from celeriac.interfaces.broker import Broker, Lease, Terms
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import (
    DEADLINE,
    LEASE,
    OWNER,
    QUEUE,
    drain,
    lapse,
    leases,
    names,
    outgoing,
    receive,
    send,
    told,
)

TERMS = Terms(limit=3, lease=LEASE, owner=OWNER)


@pytest.fixture
def joint(store: Store) -> Broker:
    """A broker that takes results along."""
    broker = store.broker
    assert broker is not None
    assert broker.capabilities.stores_results, "a store that keeps no results with its messages leaves this test out"
    return broker


def record(task_id: str, state: str = "SUCCESS") -> ResultRecord:
    return ResultRecord(task_id, state, b'{"status":"%b"}' % state.encode(), 600.0)


def stored(store: Store, *ids: str) -> dict[str, bytes]:
    assert store.results is not None
    return dict(store.results.fetch(ids))


def test_what_follows_is_among_what_is_taken_next(broker: Broker) -> None:
    send(broker, "a")
    held = leases(receive(broker))
    for number in range(5):  # a chain
        lost, taken = broker.ack_and_receive(held, [QUEUE], TERMS, follow_ups={held[0].tag: [outgoing(number)]})
        taken = taken or receive(broker, wait=DEADLINE)  # a store that wants two trips has it a moment later
        assert (list(lost), names(taken)) == ([], [number])
        assert taken[0].message == outgoing(number).message
        held = leases(taken)
    assert list(broker.extend(held, lease=LEASE)) == []
    assert list(broker.ack(held)) == []
    assert drain(broker) == []


def test_what_follows_comes_after_what_was_there_before(broker: Broker) -> None:
    send(broker, "a", "b", "c")
    held = leases(receive(broker, limit=1))
    follow_ups = {held[0].tag: [outgoing("d"), outgoing("e", queue="other")]}
    _, taken = broker.ack_and_receive(held, [QUEUE], Terms(limit=1, lease=LEASE, owner=OWNER), follow_ups=follow_ups)
    assert names(taken) == ["b"]
    assert drain(broker) == ["c", "d"]
    assert drain(broker, "other") == ["e"]


def test_what_follows_in_a_queue_that_is_not_asked_is_left_there(broker: Broker) -> None:
    send(broker, "a")
    held = leases(receive(broker))
    follow_ups = {held[0].tag: [outgoing("b", queue="other")]}
    assert list(broker.ack_and_receive(held, [QUEUE], TERMS, follow_ups=follow_ups)[1]) == []
    assert drain(broker, "other") == ["b"]


def test_what_follows_later_is_not_taken_before(broker: Broker, clock: FakeClock) -> None:
    send(broker, "a")
    held = leases(receive(broker))
    follow_ups = {held[0].tag: [outgoing("b", not_before=clock.now() + 10)]}
    assert list(broker.ack_and_receive(held, [QUEUE], TERMS, follow_ups=follow_ups)[1]) == []
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, told(stats.delayed, 1), told(stats.leased, 0)) == (0, 1, 0)


def test_what_follows_keeps_its_priority_when_it_is_taken_at_once(broker: Broker) -> None:
    send(broker, "a")
    held = leases(receive(broker))
    _, taken = broker.ack_and_receive(held, [QUEUE], TERMS, follow_ups={held[0].tag: [outgoing("b", priority=5)]})
    taken = taken or receive(broker, wait=DEADLINE)
    assert [delivery.priority for delivery in taken] == [5]
    broker.requeue(leases(taken))
    assert names(receive(broker, wait=DEADLINE)) == ["b"]


def test_what_follows_and_was_taken_at_once_comes_back_from_a_dead_holder(
    broker: Broker, holder: Broker, clock: FakeClock
) -> None:
    send(holder, "a")
    held = leases(receive(holder))
    _, taken = holder.ack_and_receive(held, [QUEUE], TERMS, follow_ups={held[0].tag: [outgoing("b")]})
    taken = taken or receive(holder, wait=DEADLINE)
    lapse(holder, broker, clock)
    again = receive(broker, wait=DEADLINE)
    assert names(again) == ["b"]
    assert again[0].message == taken[0].message
    assert list(holder.ack(leases(taken))) == leases(taken)


def test_what_follows_a_lost_lease_is_neither_sent_nor_taken(broker: Broker, holder: Broker, clock: FakeClock) -> None:
    send(broker, "a")
    lost = leases(receive(holder))
    lapse(holder, broker, clock)
    named, taken = holder.ack_and_receive(lost, [QUEUE], TERMS, follow_ups={lost[0].tag: [outgoing("wrong")]})
    taken = taken or receive(holder, wait=DEADLINE)
    assert (list(named), names(taken)) == (lost, ["a"])
    assert drain(broker) == []


def test_results_are_stored_with_the_acknowledgement(joint: Broker, store: Store) -> None:
    send(joint, "a", "b")
    first, second = leases(receive(joint))
    assert list(joint.ack([first], results=[record("a")])) == []
    _, taken = joint.ack_and_receive(
        [second],
        [QUEUE],
        TERMS,
        follow_ups={second.tag: [outgoing("c")]},
        results=[record("b"), record("b2", "STARTED")],
    )
    assert names(taken) == ["c"]
    assert stored(store, "a", "b", "b2") == {
        one.task_id: one.payload for one in (record("a"), record("b"), record("b2", "STARTED"))
    }
    assert told(joint.stats([QUEUE])[QUEUE].leased, 1) == 1


def test_results_of_lost_leases_are_stored_and_none_takes_the_place_of_a_more_final_one(
    joint: Broker, store: Store
) -> None:
    lost = [Lease(queue=QUEUE, tag="no-such-tag")]
    assert list(joint.ack(lost, results=[record("a"), record("b", "FAILURE")])) == lost
    named, _ = joint.ack_and_receive(lost, [QUEUE], TERMS, results=[record("a", "FAILURE"), record("b", "RETRY")])
    assert list(named) == lost
    assert stored(store, "a", "b") == {"a": record("a").payload, "b": record("b", "FAILURE").payload}


def test_results_without_acknowledgements_are_stored_too(joint: Broker, store: Store) -> None:
    assert list(joint.ack([], results=[record("a")])) == []
    assert list(joint.ack_and_receive([], [QUEUE], TERMS, results=[record("b")])[1]) == []
    assert stored(store, "a", "b").keys() == {"a", "b"}


def test_who_waits_for_a_result_that_goes_with_an_acknowledgement_is_told(joint: Broker, store: Store) -> None:
    assert store.results is not None
    listener = store.results.listen(["a"])
    try:
        listener.get(timeout=0.05)
        send(joint, "m")
        joint.ack(leases(receive(joint)), results=[record("a")])
        assert dict(listener.get(timeout=DEADLINE)) == {"a": record("a").payload}
    finally:
        listener.close()


def test_more_results_go_with_acknowledgements_than_one_batch_holds(joint: Broker, store: Store) -> None:
    count = joint.capabilities.max_batch + 7
    send(joint, *range(count))
    held: list[Lease] = []
    while len(held) < count:
        held += leases(receive(joint, limit=count - len(held)))
    results = [record(str(number)) for number in range(count)]
    assert list(joint.ack_and_receive(held, [QUEUE], TERMS, results=results)[0]) == []
    assert len(stored(store, *map(str, range(count)))) == count
