"""Leases: what is held stays held, what is lost is fenced, what a dead holder had comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from celeriac.interfaces.broker import Broker, Delivery, Lease, Terms
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import (
    LEASE,
    OWNER,
    QUEUE,
    drain,
    eventually,
    lapse,
    leases,
    marks,
    names,
    outgoing,
    receive,
    send,
    told,
)


@pytest.fixture
def holder(reopen: Callable[[], Store]) -> Broker:
    """A second client, which loses what it holds."""
    broker = reopen().broker
    assert broker is not None
    return broker


def test_what_one_holds_nobody_else_receives(broker: Broker, holder: Broker) -> None:
    send(broker, 1, 2)
    assert names(receive(holder, limit=1)) == [1]
    assert names(receive(broker)) == [2]
    assert list(receive(broker)) == []


def test_what_is_done_is_acknowledged_as_the_next_are_taken(broker: Broker) -> None:
    send(broker, *range(6))
    first = leases(receive(broker, limit=2))
    lost, taken = broker.ack_and_receive(first, [QUEUE], Terms(limit=3, lease=LEASE, owner=OWNER))
    assert (list(lost), names(taken)) == ([], [2, 3, 4])
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, told(stats.leased, 3)) == (1, 3)
    lost, taken = broker.ack_and_receive([*first, *leases(taken)], [QUEUE], Terms(limit=3, lease=LEASE, owner=OWNER))
    assert (list(lost), names(taken)) == (first, [5])
    lost, taken = broker.ack_and_receive(leases(taken), [QUEUE, "other"], Terms(limit=3, lease=LEASE, owner=OWNER))
    assert (list(lost), names(taken)) == ([], [])
    assert told(broker.stats([QUEUE])[QUEUE].leased, 0) == 0


def test_what_was_lost_is_named_as_the_next_are_taken(broker: Broker, holder: Broker, clock: FakeClock) -> None:
    send(broker, 1, 2)
    lost = leases(receive(holder, limit=1))
    lapse(holder, broker, clock)
    named, taken = holder.ack_and_receive(lost, [QUEUE], Terms(limit=9, lease=LEASE, owner=OWNER))
    assert (list(named), names(taken)) == (lost, [1, 2])


def test_more_are_acknowledged_as_the_next_are_taken_than_one_batch_holds(broker: Broker) -> None:
    count = min(broker.capabilities.max_batch, 2000) * 2 + 7
    send(broker, *range(count + 1))
    held: list[Delivery] = []
    while len(held) < count:
        held += receive(broker, limit=count - len(held))
    lost, taken = broker.ack_and_receive(leases(held), [QUEUE], Terms(limit=3, lease=LEASE, owner=OWNER))
    assert list(lost) == []
    assert sorted(names([*held, *taken])) == list(range(count + 1))
    assert told(broker.stats([QUEUE])[QUEUE].leased, 1) == 1


def test_every_delivery_has_a_lease_of_its_own(broker: Broker) -> None:
    send(broker, *range(50))
    tags = {lease.tag for lease in leases(receive(broker))}
    assert len(tags) == 50


def test_an_expired_lease_brings_the_message_back_marked_and_first_in_line(
    broker: Broker, holder: Broker, clock: FakeClock
) -> None:
    send(broker, "lost", "waiting")
    receive(holder, limit=1)
    lapse(holder, broker, clock)
    back, waiting = receive(broker)
    assert names([back, waiting]) == ["lost", "waiting"]
    assert (back.redelivered, waiting.redelivered) == (True, False)


def test_several_expired_leases_come_back_in_their_old_order(broker: Broker, holder: Broker, clock: FakeClock) -> None:
    send(broker, *range(6))
    receive(holder, limit=4)
    lapse(holder, broker, clock)
    assert drain(broker) == [0, 1, 2, 3, 4, 5]


def test_upkeep_counts_what_it_took_back_and_keeps_to_its_limit(broker: Broker, clock: FakeClock) -> None:
    assert broker.capabilities.leases, "a store whose deliveries end with the connection leaves this test out"
    send(broker, *range(5))
    receive(broker)
    assert broker.upkeep(limit=100).reclaimed == 0
    clock.advance(LEASE + 1)
    assert broker.upkeep(limit=3).reclaimed == 3
    assert broker.upkeep(limit=3).reclaimed == 2
    assert sorted(drain(broker)) == [0, 1, 2, 3, 4]


def test_upkeep_tells_when_the_next_lease_runs_out(broker: Broker, clock: FakeClock) -> None:
    send(broker, 1)
    receive(broker, lease=40.0)
    next_due = broker.upkeep(limit=100).next_due
    assert next_due is not None
    assert clock.now() < next_due <= clock.now() + 40.01


def test_extending_keeps_the_message(broker: Broker, holder: Broker, clock: FakeClock) -> None:
    send(broker, 1)
    held = leases(receive(holder))
    for _ in range(4):
        clock.advance(LEASE - 1)
        assert list(holder.extend(held, lease=LEASE)) == []
        broker.upkeep(limit=100)
        assert list(receive(broker)) == []
    assert list(holder.ack(held)) == []


def test_a_lease_may_be_extended_and_settled_by_another_process(broker: Broker, holder: Broker) -> None:
    assert broker.capabilities.leases, "a store whose deliveries end with the connection leaves this test out"
    send(broker, 1, 2)
    passed_on = [Lease(queue=lease.queue, tag=str(lease.tag)) for lease in leases(receive(holder))]
    assert list(broker.extend(passed_on, lease=LEASE)) == []
    assert list(broker.ack(passed_on)) == []
    assert told(broker.stats([QUEUE])[QUEUE].leased, 0) == 0


@pytest.mark.parametrize("redelivered", [False, True], ids=["reclaimed", "redelivered"])
def test_who_lost_a_lease_can_do_nothing_and_is_told(
    broker: Broker, holder: Broker, clock: FakeClock, *, redelivered: bool
) -> None:
    send(broker, "m")
    lost = leases(receive(holder))
    lapse(holder, broker, clock)
    held = leases(receive(broker)) if redelivered else []
    follow_ups = {lost[0].tag: [outgoing("follow-up")]}
    assert list(holder.extend(lost, lease=LEASE)) == lost
    assert list(holder.ack(lost, follow_ups=follow_ups)) == lost
    assert list(holder.requeue(lost)) == lost
    assert list(holder.requeue(lost, delay=5.0)) == lost
    assert list(holder.reject(lost, reason="late")) == lost
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, told(stats.leased, len(held))) == (1 - len(held), len(held))
    assert (told(stats.delayed, 0), stats.dead) == (0, 0)
    assert list(broker.ack(held)) == []
    assert drain(broker) == ([] if redelivered else ["m"])


def test_a_lease_that_ran_out_but_was_not_taken_back_harms_nobody(broker: Broker, clock: FakeClock) -> None:
    # The store may let the late holder settle, or report the lease as lost; the message must not do both.
    assert broker.capabilities.leases, "a store whose deliveries end with the connection leaves this test out"
    send(broker, "m")
    held = leases(receive(broker))
    clock.advance(LEASE + 1)
    lost = list(broker.ack(held))
    broker.upkeep(limit=100)
    assert drain(broker) == (["m"] if lost else [])


def test_in_one_batch_only_the_lost_are_reported(broker: Broker, clock: FakeClock) -> None:
    assert broker.capabilities.leases, "a store whose deliveries end with the connection leaves this test out"
    send(broker, "short", "long")
    short = leases(receive(broker, limit=1, lease=5.0))
    long = leases(receive(broker, limit=1, lease=500.0))
    clock.advance(10)
    broker.upkeep(limit=100)
    assert list(broker.extend(short + long, lease=LEASE)) == short
    assert list(broker.ack(long + short)) == short
    assert drain(broker) == ["short"]


def test_settling_twice_reports_the_second_as_lost(broker: Broker) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    assert list(broker.ack(held)) == []
    assert list(broker.ack(held)) == held
    assert list(broker.requeue(held)) == held
    assert drain(broker) == []


def test_a_lease_that_was_settled_is_that_of_no_later_message(broker: Broker) -> None:
    send(broker, 1)
    first = leases(receive(broker))
    assert broker.ack(first) == []
    send(broker, 2)
    second = leases(receive(broker))
    assert list(broker.ack(first)) == first
    assert broker.ack(second) == []


def test_a_tag_that_never_was_is_lost(broker: Broker) -> None:
    strange = [Lease(queue=QUEUE, tag="no-such-tag"), Lease(queue=QUEUE, tag="")]
    assert list(broker.ack(strange)) == strange
    assert list(broker.extend(strange, lease=1.0)) == strange


def test_a_message_given_back_is_first_in_line_and_not_marked(broker: Broker) -> None:
    send(broker, 1, 2, 3)
    held = receive(broker, limit=2)
    assert list(broker.requeue(leases(held))) == []
    eventually(lambda: broker.stats([QUEUE])[QUEUE].ready == 3)  # a replicated queue takes a moment
    again = receive(broker)
    assert names(again) == [1, 2, 3]
    assert marks(broker, again) == [False, False, False]


def test_a_message_of_a_dead_holder_is_marked_and_keeps_the_mark(broker: Broker) -> None:
    send(broker, 1, 2)
    held = receive(broker, limit=1)
    assert list(broker.requeue(leases(held), redelivered=True)) == []
    eventually(lambda: broker.stats([QUEUE])[QUEUE].ready == 2)
    again = receive(broker)
    assert names(again) == [1, 2]
    assert [delivery.redelivered for delivery in again] == [True, False]
    assert list(broker.requeue(leases(again))) == []
    eventually(lambda: broker.stats([QUEUE])[QUEUE].ready == 2)
    tells = broker.capabilities.tells_deaths
    assert [delivery.redelivered for delivery in receive(broker)] == [True, not tells]


def test_the_old_lease_of_a_message_given_back_is_worth_nothing(broker: Broker) -> None:
    send(broker, 1)
    old = leases(receive(broker))
    broker.requeue(old)
    new = leases(receive(broker))
    assert new != old
    assert list(broker.ack(old)) == old
    assert list(broker.ack(new)) == []


def test_a_message_given_back_with_a_delay_waits(broker: Broker, clock: FakeClock) -> None:
    send(broker, 1)
    assert list(broker.requeue(leases(receive(broker)), delay=20.0)) == []
    broker.upkeep(limit=100)
    assert list(receive(broker)) == []
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, told(stats.delayed, 1), told(stats.leased, 0)) == (0, 1, 0)
    clock.advance(21)
    broker.upkeep(limit=100)
    (delivery,) = receive(broker)
    assert delivery.redelivered is False


def test_a_rejected_message_becomes_a_dead_letter(broker: Broker, clock: FakeClock) -> None:
    send(broker, 1, 2)
    assert list(broker.reject(leases(receive(broker, limit=1)), reason="it is poison")) == []
    clock.advance(1000)
    broker.upkeep(limit=100)
    assert broker.stats([QUEUE])[QUEUE].dead == int(broker.capabilities.dead_letters)
    assert drain(broker) == [2]


def test_follow_ups_are_sent_with_the_acknowledgement(broker: Broker) -> None:
    send(broker, "a", "b")
    held = leases(receive(broker))
    follow_ups = {held[0].tag: [outgoing("a1"), outgoing("a2", queue="elsewhere")], held[1].tag: [outgoing("b1")]}
    assert list(broker.ack(held, follow_ups=follow_ups)) == []
    assert drain(broker) == ["a1", "b1"]
    assert drain(broker, "elsewhere") == ["a2"]


def test_a_follow_up_may_be_delayed_and_have_a_priority(broker: Broker, clock: FakeClock) -> None:
    send(broker, "a")
    held = leases(receive(broker))
    broker.ack(held, follow_ups={held[0].tag: [outgoing("retry", not_before=clock.now() + 10, priority=3)]})
    assert list(receive(broker)) == []
    clock.advance(11)
    broker.upkeep(limit=10)
    (delivery,) = receive(broker)
    assert (names([delivery]), delivery.priority) == (["retry"], 3)


def test_follow_ups_of_a_lost_lease_are_not_sent(broker: Broker, clock: FakeClock) -> None:
    assert broker.capabilities.atomic_follow_ups, "a store that cannot tell leaves this test out"
    send(broker, "lost", "held")
    lost = leases(receive(broker, limit=1, lease=5.0))
    clock.advance(6)
    broker.upkeep(limit=10)
    held = leases(receive(broker, limit=1))
    held += leases(receive(broker, limit=1))
    broker.requeue(held[:1])
    follow_ups = {lost[0].tag: [outgoing("wrong")], held[1].tag: [outgoing("right")]}
    assert list(broker.ack([*lost, held[1]], follow_ups=follow_ups)) == lost
    assert drain(broker) == ["lost", "right"]


def test_what_an_owner_holds_is_known_to_others(broker: Broker, holder: Broker) -> None:
    odd = 'queue with ,"","quotes" in [its] name'
    for queue in (QUEUE, odd):
        broker.send([outgoing(number, queue=queue) for number in range(3)])
    mine = Terms(limit=2, lease=LEASE, owner="mine*[x]/1")
    theirs = Terms(limit=9, lease=LEASE, owner="mine*[x]/10")
    held = [lease for queue in (QUEUE, odd) for lease in leases(holder.receive((queue,), mine, wait=1.0))]
    holder.receive((QUEUE, odd), theirs, wait=1.0)
    found = broker.held_by(mine.owner)
    assert sorted((lease.queue, lease.tag) for lease in found) == (
        sorted((lease.queue, lease.tag) for lease in held) if broker.capabilities.leases else []
    )
    if found:
        assert list(broker.requeue(found)) == []
        assert list(broker.held_by(mine.owner)) == []
        assert names(receive(broker, QUEUE, odd)) == [0, 1, 0, 1]


def test_a_message_that_is_about_to_run_keeps_its_lease(broker: Broker) -> None:
    send(broker, 1)
    broker.requeue(leases(receive(broker)), redelivered=True)
    (delivery,) = receive(broker, wait=5.0)
    assert broker.brace(delivery.lease) is True
    assert list(receive(broker)) == []
    assert list(broker.ack([delivery.lease])) == []
    assert drain(broker) == []


def test_deaths_of_holders_that_ran_it_are_counted_where_the_core_cannot(
    broker: Broker, reopen: Callable[[], Store], clock: FakeClock
) -> None:
    send(broker, 1)
    counts = []
    for _ in range(3):
        holder = reopen().broker
        assert holder is not None
        (delivery,) = eventually(lambda: receive(holder, wait=1.0))  # noqa: B023  called at once
        counts.append(delivery.crashes)
        assert broker.capabilities.tells_deaths or not delivery.redelivered or holder.brace(delivery.lease)
        lapse(holder, broker, clock)
    (delivery,) = eventually(lambda: receive(broker, wait=1.0))
    assert delivery.redelivered is True
    if broker.capabilities.tells_deaths:
        assert delivery.crashes is None
    else:
        assert [*counts, delivery.crashes] == [0, 0, 2, 3]
