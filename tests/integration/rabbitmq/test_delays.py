"""Delays run on the server's clock, so these tests wait."""

from __future__ import annotations

import time

import pytest

from celeriac.drivers.rabbitmq.delays import delayed_route
from celeriac.testing.conformance.samples import QUEUE, leases, names, outgoing, receive, send

EARLY = 0.02
"""Seconds by which two readings of a clock may differ."""
LATE = 1.0
"""Seconds that a busy machine may take."""


def received_after(broker, started):
    (delivery,) = receive(broker, wait=10.0)
    broker.ack([delivery.lease])
    return delivery, time.time() - started


@pytest.mark.parametrize("delay", [0.25, 1.0, 1.5])
def test_a_delayed_message_is_not_early_and_not_much_later(broker, delay):
    started = time.time()
    broker.send([outgoing("later", not_before=started + delay)])
    assert list(receive(broker)) == []
    _, took = received_after(broker, started)
    assert delay - EARLY <= took <= delay + 0.1 + LATE


def test_messages_become_ready_in_the_order_they_are_due(broker):
    now = time.time()
    broker.send([outgoing(n, not_before=now + due) for n, due in (("c", 1.2), ("a", 0.2), ("b", 0.7))])
    assert [names([received_after(broker, now)[0]])[0] for _ in range(3)] == ["a", "b", "c"]


def test_a_message_given_back_with_a_delay_waits_and_is_not_marked(broker):
    send(broker, 1)
    started = time.time()
    assert list(broker.requeue(leases(receive(broker)), delay=0.5)) == []
    delivery, took = received_after(broker, started)
    assert took >= 0.5 - EARLY
    assert delivery.redelivered is False


def test_a_message_may_be_delayed_again_and_again(broker):
    """The server drops what it takes for going in circles, by a header that it adds itself."""
    send(broker, 1)
    for _ in range(4):
        (delivery,) = receive(broker, wait=5.0)
        assert set(delivery.message.headers) == {"id", "task", "n"}
        broker.requeue([delivery.lease], delay=1.1)
    assert names(receive(broker, wait=5.0)) == [1]


def test_a_follow_up_may_be_delayed_and_have_a_priority(broker):
    send(broker, "first")
    held = leases(receive(broker))
    started = time.time()
    broker.ack(held, follow_ups={held[0].tag: [outgoing("retry", not_before=started + 0.3, priority=3)]})
    delivery, took = received_after(broker, started)
    assert (names([delivery]), delivery.priority) == (["retry"], 3)
    assert took >= 0.3 - EARLY


def test_a_name_that_ends_another_does_not_get_what_is_for_that(broker):
    now = time.time()
    broker.send(
        [outgoing("short", queue="b", not_before=now + 0.2), outgoing("long", queue="a.b", not_before=now + 0.2)]
    )
    time.sleep(0.6)
    assert names(receive(broker, "b", wait=5.0)) == ["short"]
    assert names(receive(broker, "a.b", wait=5.0)) == ["long"]
    assert list(receive(broker, "b", "a.b", wait=0.2)) == []


def test_the_longest_delay_is_written_in_28_digits():
    exchange, key = delayed_route(1e12, QUEUE)
    assert (exchange, key) == ("celery_delayed_27", "1." * 28 + QUEUE)
    assert delayed_route(5.01, QUEUE) == ("celeriac_delayed_tenths_1", "0." * 25 + f"1.0.1.{QUEUE}")
