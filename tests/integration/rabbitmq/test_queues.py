"""Queues and exchanges: as they are configured, as they are found, and what cannot be."""

from __future__ import annotations

import logging
import time

import pytest

from celeriac.drivers.rabbitmq.taking import Taker
from celeriac.exceptions import BrokerError, EncodeError, ImproperlyConfigured, SendIncomplete
from celeriac.interfaces.broker import Delivery, Outgoing, QueueSpec, Route
from celeriac.routing.queues import Binding
from celeriac.testing.conformance.samples import (
    drain,
    eventually,
    in_thread,
    leases,
    message,
    names,
    outgoing,
    receive,
    send,
)
from celeriac.wire.message import Message


def test_a_message_reaches_its_queue_by_every_kind_of_exchange(broker):
    broker.declare(
        [
            QueueSpec("direct", "plain", "direct", "key"),
            QueueSpec("topic", "words", "topic", "a.*"),
            QueueSpec("one", "all", "fanout", "", bindings=(Binding("plain", "direct", "other"),)),
            QueueSpec("two", "all", "fanout", ""),
        ]
    )
    routes = [("direct", "plain", "key"), ("topic", "words", "a.b"), ("one", "all", "any"), ("one", "plain", "other")]
    for number, (queue, exchange, key) in enumerate(routes):
        broker.send([Outgoing(Route(queue, exchange, key), message(number))])
    found = {queue: drain(broker, queue) for queue in ("direct", "topic", "one", "two")}
    assert found == {"direct": [0], "topic": [1], "one": [2, 3], "two": [2]}


def test_a_message_that_no_queue_takes_is_an_error(broker):
    broker.declare([QueueSpec("known", "words", "topic", "a.#")])
    with pytest.raises(SendIncomplete, match="did not take 1 of 2") as caught:
        broker.send(
            [Outgoing(Route("known", "words", "b"), message(1)), Outgoing(Route("known", "words", "a"), message(2))]
        )
    assert caught.value.unsent == (0,)
    assert drain(broker, "known") == [2]


def test_what_a_full_queue_refuses_is_an_error(open_store, url):
    arguments = {"x-max-length": 3, "x-overflow": "reject-publish"}
    broker = open_store(url, find_queue=lambda name: QueueSpec(name, arguments=arguments)).broker
    with pytest.raises(SendIncomplete, match="a queue is full") as caught:
        send(broker, *range(10))
    assert len(caught.value.unsent) >= 6


def test_a_queue_that_exists_is_taken_as_it_is(broker, open_store, url, caplog):
    broker.declare([QueueSpec("work", arguments={"x-max-priority": 5})])
    other = open_store(url).broker
    with caplog.at_level(logging.WARNING):
        other.declare([QueueSpec("work")])
    assert "Queue 'work' exists, and is taken as it is" in caplog.text
    send(other, 1)
    assert drain(broker) == [1]


def test_an_exchange_of_another_type_is_said_to_be_one(broker):
    broker.declare([QueueSpec("a", "shared", "direct", "a")])
    with pytest.raises(ImproperlyConfigured, match="'shared' exists with another type than 'topic'"):
        broker.declare([QueueSpec("b", "shared", "topic", "b")])


def test_arguments_that_cannot_be_are_said_to_be_wrong(broker):
    with pytest.raises((ImproperlyConfigured, BrokerError), match="x-max-length"):
        broker.declare([QueueSpec("odd", arguments={"x-max-length": -1})])


def test_a_queue_that_was_deleted_is_declared_again(broker, node, url):
    send(broker, 1)
    delete(node, url, "work")
    send(broker, 2)
    assert drain(broker) == [2]
    delete(node, url, "work")
    assert list(receive(broker, wait=0.2)) == []
    send(broker, 3)
    assert drain(broker) == [3]


def test_headers_that_amqp_cannot_carry_are_refused_at_once(broker):
    odd = Outgoing(Route("work"), Message({"id": "1", "big": 2**80}, b""))
    with pytest.raises(EncodeError, match="header 'big'"):
        broker.send([odd])
    large = Outgoing(Route("work"), Message({"id": "1", "large": "x" * 200_000}, b""))
    with pytest.raises(EncodeError, match=r"headers of 2000.. bytes are larger"):
        broker.send([large])


def test_a_name_that_is_too_long_is_refused(broker):
    with pytest.raises(ImproperlyConfigured, match="more than 198 bytes"):
        broker.check_queue("q" * 199)


def test_what_an_engine_has_no_room_for_stays_for_others(broker, open_store, url):
    send(broker, *range(10))
    held = receive(broker, limit=3)
    broker.ack(leases(held)[:2])
    assert names(receive(open_store(url).broker)) == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("took", ["all that were wanted", "fewer"])
def test_what_is_held_of_a_quorum_queue_has_a_consumer_that_gets_no_more(broker, node, url, took, monkeypatch):
    """A quorum queue keeps for ever what an ended consumer holds when the node of its channel is lost."""

    def consumers():
        return node.call("rabbit_amqqueue", "consumers_all", f'<<"{url.rpartition("/")[2]}">>').count("consumer_tag")

    broker.declare([QueueSpec("work", routing_key="work", arguments={"x-queue-type": "quorum"})])
    send(broker, *range(3))
    if took == "fewer":
        count = Taker.count
        monkeypatch.setattr(Taker, "count", lambda *a, of: count(*a, of=of) + 1)  # as if another had been faster
    one, two, three = leases(receive(broker, limit=3 if took == "all that were wanted" else 5))
    send(broker, 3, 4)
    assert consumers() == 1
    assert broker.ack([one]) == []
    eventually(lambda: consumers() == 1 and ready(broker) == 2)
    assert broker.requeue([two]) == []
    eventually(lambda: consumers() == 1 and ready(broker) == 3)
    assert broker.ack([three]) == []
    eventually(lambda: consumers() == 0 and ready(broker) == 3)


def ready(broker):
    return broker.stats(["work"])["work"].ready


def test_the_permissions_that_a_user_lacks_are_named(node, url, open_store):
    vhost = url.rpartition("/")[2]
    rights = '<<"guest">>, <<"{}">>, <<"^$">>, <<"^$">>, <<"^$">>, <<"tests">>'
    node.call("rabbit_auth_backend_internal", "set_permissions", rights.format(vhost))
    with pytest.raises(BrokerError, match="the user may not do this"):
        open_store(url).broker.send([outgoing(1)])


def delete(node, url, queue):
    vhost = url.rpartition("/")[2]
    resource = f'{{resource, <<"{vhost}">>, queue, <<"{queue}">>}}'
    found = f"element(2, rpc:call('{node.name}', rabbit_amqqueue, lookup, [{resource}]))"
    node.call("rabbit_amqqueue", "delete", f'{found}, false, false, <<"tests">>')


def test_what_was_acknowledged_just_before_the_end_of_a_connection_does_not_come_again(open_store, url):
    quorum = {"find_queue": lambda name: QueueSpec(name, arguments={"x-queue-type": "quorum"})}
    broker = open_store(url, **quorum).broker
    send(broker, *range(1000))
    taken: list[Delivery] = []
    while len(taken) < 1000:
        taken += receive(broker, limit=1000, wait=1.0)
    for delivery in taken:
        assert broker.ack([delivery.lease]) == []
    broker.close()
    assert list(receive(open_store(url, **quorum).broker, wait=1.0)) == []


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"x-queue-type": "classic"}, "first"),
        ({"x-queue-type": "quorum", "x-delivery-limit": 20}, "first"),
        ({"x-queue-type": "quorum"}, "last"),
    ],
    ids=["classic", "quorum with a delivery limit", "quorum"],
)
def test_where_a_queue_puts_what_is_given_back(open_store, url, arguments, place):
    broker = open_store(url, find_queue=lambda name: QueueSpec(name, arguments=arguments)).broker
    send(broker, *range(6))
    assert broker.requeue(leases(receive(broker, limit=3))) == []
    assert drain(broker) == ([0, 1, 2, 3, 4, 5] if place == "first" else [3, 4, 5, 0, 1, 2])


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("when", ["before a claim", "during a wait"])
def test_a_queue_that_is_deleted_takes_nothing_of_others_along(open_store, node, url, kind, when):
    arguments = {"x-queue-type": kind}
    broker = open_store(url, find_queue=lambda name: QueueSpec(name, arguments=arguments)).broker
    send(broker, 1, queue="other")
    (held,) = receive(broker, "work", "other")
    if when == "before a claim":
        delete(node, url, "work")
        assert list(receive(broker, "work", "other", wait=0.2)) == []
    else:
        with in_thread(lambda: receive(broker, "work", "other", wait=2.0)) as received:
            time.sleep(0.5)
            delete(node, url, "work")
            assert list(received.result(10.0)) == []
    send(broker, 2)
    assert names(receive(broker, "work", "other", wait=2.0)) == [2]
    assert broker.ack([held.lease]) == [], "it is held still"
