"""What goes in comes out: whole, in order, at the right time."""

from __future__ import annotations

import pytest

from celeriac.interfaces.broker import Broker, Outgoing, QueueSpec, Route
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.case import Case
from celeriac.testing.conformance.samples import (
    QUEUE,
    drain,
    leases,
    levels,
    message,
    name,
    names,
    outgoing,
    receive,
    send,
    told,
)
from celeriac.wire.message import BINARY, Message, Unreadable


def test_messages_come_out_in_the_order_they_went_in(broker: Broker) -> None:
    send(broker, 1, 2, 3)
    send(broker, 4)
    assert drain(broker) == [1, 2, 3, 4]


def test_no_more_than_the_limit_is_taken(broker: Broker) -> None:
    send(broker, 1, 2, 3)
    assert names(receive(broker, limit=2)) == [1, 2]
    assert names(receive(broker, limit=2)) == [3]


def test_of_what_is_left_others_get_their_share(broker: Broker) -> None:
    send(broker, *range(10))
    send(broker, *range(10, 13), queue="other")
    both = (QUEUE, "other")
    assert names(receive(broker, *both, limit=20, freely=2)) == [0, 1, 2, 3]  # a quarter of 13
    assert names(receive(broker, *both, limit=20, freely=2)) == [4, 5, 6]  # of 9
    assert names(receive(broker, *both, limit=20, freely=5)) == [7, 8, 9, 10, 11]  # and 5 in any case
    assert names(receive(broker, *both, limit=20, freely=5)) == [12]


def test_what_may_be_taken_freely_is_no_more_than_the_limit(broker: Broker) -> None:
    send(broker, *range(40))
    assert len(receive(broker, limit=3, freely=5)) == 3
    assert len(receive(broker, limit=3, freely=1)) == 3
    assert len(receive(broker, limit=30)) == 30


def test_an_empty_queue_gives_nothing(broker: Broker) -> None:
    assert list(receive(broker, "never-seen")) == []


def test_an_empty_batch_is_no_error(broker: Broker) -> None:
    broker.send([])
    assert list(broker.ack([])) == []
    assert list(broker.requeue([])) == []
    assert list(broker.reject([], reason="none")) == []
    assert list(broker.extend([], lease=1.0)) == []
    assert list(receive(broker)) == []


def test_a_batch_beyond_the_stores_largest_is_split_and_arrives_whole(broker: Broker) -> None:
    count = min(broker.capabilities.max_batch, 2000) * 2 + 7
    send(broker, *range(count))
    assert broker.stats([QUEUE])[QUEUE].ready == count
    taken = receive(broker, limit=count)
    while len(taken) < count and (more := receive(broker, limit=count)):
        taken = [*taken, *more]
    assert names(taken) == list(range(count))
    assert list(broker.extend(leases(taken), lease=60.0)) == []
    assert list(broker.ack(leases(taken))) == []
    assert told(broker.stats([QUEUE])[QUEUE].leased, 0) == 0


def test_the_most_urgent_messages_come_first_and_equals_in_order(broker: Broker) -> None:
    urgent_first = levels(broker)
    for level in reversed(urgent_first):
        broker.send([outgoing(f"{level}-{nth}", priority=level) for nth in (1, 2)])
    assert drain(broker) == [f"{level}-{nth}" for level in urgent_first for nth in (1, 2)]


def test_the_most_urgent_is_taken_first_when_not_all_may_be(broker: Broker) -> None:
    urgent_first = levels(broker)
    for level in reversed(urgent_first):
        send(broker, level, priority=level)
    assert [names(receive(broker, limit=1)) for _ in urgent_first] == [[level] for level in urgent_first]


def test_a_priority_comes_back_as_it_was_given(broker: Broker) -> None:
    send(broker, "p", priority=levels(broker)[0])
    assert receive(broker)[0].priority == levels(broker)[0]


def test_a_message_without_priority_is_received(broker: Broker) -> None:
    send(broker, "plain")
    (delivery,) = receive(broker)
    assert delivery.priority in (None, 0)


def test_queues_are_served_in_the_order_given(broker: Broker) -> None:
    send(broker, "a1", "a2", queue="a")
    send(broker, "b1", queue="b", priority=levels(broker)[0])
    assert names(receive(broker, "b", "a", limit=2)) == ["b1", "a1"]
    send(broker, "b2", queue="b")
    assert names(receive(broker, "a", "b")) == ["a2", "b2"]


def test_only_the_queues_asked_for_are_served(broker: Broker) -> None:
    send(broker, 1, queue="other")
    assert list(receive(broker)) == []
    (delivery,) = receive(broker, "other")
    assert delivery.lease.queue == "other"


@pytest.mark.parametrize(
    "sent",
    [
        Message(
            headers={"task": "t", "id": "1", "origin": "me", "x-own": {"deep": [1, None, "é"]}, "eta": None},
            body=b"[[1], {}, {}]",
            correlation_id="corr",
            reply_to="reply-queue",
        ),
        Message(headers={"task": "t"}, body=b"", content_type="application/x-custom", content_encoding="utf-8"),
        Message(
            headers={"task": "t"}, body=bytes(range(256)) * 8, content_type="application/x-b", content_encoding=BINARY
        ),
        Message(headers={}, body='["\\u2028 \U0001f40c"]'.encode()),
    ],
    ids=["properties", "empty-body", "binary-body", "unicode"],
)
def test_a_message_comes_back_as_it_was_sent(broker: Broker, sent: Message) -> None:
    broker.send([Outgoing(route=Route(queue=QUEUE, routing_key=QUEUE), message=sent)])
    (delivery,) = receive(broker)
    assert delivery.message == sent
    assert delivery.redelivered is False


def test_a_large_message_comes_back_whole(broker: Broker) -> None:
    body = b"x" * min(2_000_000, broker.capabilities.max_message_bytes or 2_000_000)
    broker.send([Outgoing(route=Route(queue=QUEUE), message=Message(headers={"n": 1}, body=body))])
    (delivery,) = receive(broker)
    assert isinstance(delivery.message, Message)
    assert delivery.message.body == body


@pytest.mark.parametrize("raw", [b"\x00\xff not json", b"{}", b"[]", b"", b'{"body": 1, "headers": 7}'])
def test_bytes_that_are_no_message_are_delivered_as_unreadable(broker: Broker, case: Case, raw: bytes) -> None:
    case.inject_raw(QUEUE, raw)
    send(broker, "good")
    bad, good = receive(broker)
    assert isinstance(bad.message, Unreadable)
    assert bad.message.raw == raw
    assert bad.message.reason
    assert name(good) == "good"
    assert list(broker.reject([bad.lease], reason=bad.message.reason)) == []
    assert broker.stats([QUEUE])[QUEUE].dead == int(broker.capabilities.dead_letters)


def test_a_delayed_message_is_not_received_early(broker: Broker, clock: FakeClock) -> None:
    assert broker.capabilities.max_delay >= 60, "a store without delay states max_delay=0 and leaves this test out"
    broker.send([outgoing("later", not_before=clock.now() + 60)])
    clock.advance(59)
    broker.upkeep(limit=100)
    assert list(receive(broker)) == []
    clock.advance(2)
    assert broker.upkeep(limit=100).promoted == 1
    assert names(receive(broker)) == ["later"]


def test_delayed_messages_become_ready_in_the_order_they_are_due(broker: Broker, clock: FakeClock) -> None:
    now = clock.now()
    broker.send([outgoing(n, not_before=now + due) for n, due in (("c", 30), ("a", 10), ("b", 20))])
    clock.advance(60)
    broker.upkeep(limit=100)
    assert drain(broker) == ["a", "b", "c"]


def test_a_moment_that_has_passed_means_at_once(broker: Broker, clock: FakeClock) -> None:
    broker.send([outgoing("past", not_before=clock.now() - 5)])
    broker.upkeep(limit=100)
    assert names(receive(broker)) == ["past"]


def test_a_delayed_message_keeps_its_priority(broker: Broker, clock: FakeClock) -> None:
    first, last = levels(broker)[0], levels(broker)[-1]
    broker.send([outgoing("least", priority=last), outgoing("most", priority=first, not_before=clock.now() + 5)])
    clock.advance(6)
    broker.upkeep(limit=100)
    expected = ["most", "least"] if broker.capabilities.priorities > 1 else ["least", "most"]
    assert drain(broker) == expected


def test_upkeep_promotes_no_more_than_its_limit(broker: Broker, clock: FakeClock) -> None:
    broker.send([outgoing(n, not_before=clock.now() + 1) for n in range(5)])
    clock.advance(2)
    assert broker.upkeep(limit=3).promoted == 3
    assert broker.upkeep(limit=3).promoted == 2
    assert drain(broker) == [0, 1, 2, 3, 4]


def test_upkeep_tells_when_the_next_thing_is_due(broker: Broker, clock: FakeClock) -> None:
    assert broker.upkeep(limit=100).next_due is None
    due = clock.now() + 100
    broker.send([outgoing("late", not_before=due + 50), outgoing("soon", not_before=due)])
    assert broker.upkeep(limit=100).next_due == pytest.approx(due, abs=0.01)


def test_declaring_twice_is_no_error_and_makes_the_queue_known(broker: Broker) -> None:
    spec = QueueSpec(name="declared", exchange="declared", routing_key="declared")
    broker.declare([spec])
    broker.declare([spec, QueueSpec(name="another")])
    assert {"declared", "another"} <= set(broker.queues())


def test_a_queue_that_was_sent_to_is_known(broker: Broker) -> None:
    send(broker, 1, queue="z")
    send(broker, 1, queue="a")
    known = list(broker.queues())
    assert {"a", "z"} <= set(known)
    assert known == sorted(known)


def test_a_message_is_kept_apart_from_what_its_sender_does_later(broker: Broker) -> None:
    sent = message("first")
    broker.send([Outgoing(route=Route(queue=QUEUE), message=sent)])
    sent.headers["n"] = "changed"
    assert drain(broker) == ["first"]
