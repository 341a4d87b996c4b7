"""The consumer of an engine that waits: it goes on from one message to the next, and keeps none from others."""

from __future__ import annotations

import re
import threading

import pytest

from celeriac.drivers.rabbitmq import taking
from celeriac.interfaces.broker import QueueSpec, Terms
from celeriac.testing.conformance.samples import eventually, leases, names, receive, send

ONE = Terms(limit=1, lease=60.0, owner="test")
MANY = Terms(limit=50, lease=60.0, owner="test")


@pytest.fixture(params=["classic", "quorum"])
def kind(request):
    return request.param


@pytest.fixture
def engine(open_store, url, kind):
    return store(open_store, url, kind)


@pytest.fixture
def other(open_store, url, kind):
    return store(open_store, url, kind)


@pytest.fixture
def wait_for_one(node, url):
    def wait(engine, other, number):
        """Have `engine` wait, then have `other` send; return what came."""
        came = []
        waits = threading.Thread(target=lambda: came.extend(engine.receive(["work"], ONE, wait=10.0)))
        waits.start()
        consumers(node, url)
        send(other, number)
        waits.join(15.0)
        assert came
        return came

    return wait


def test_a_consumer_goes_on_where_the_next_is_asked_for(engine, other, wait_for_one, node, url):
    first = wait_for_one(engine, other, 1)
    begun = consumers(node, url)
    assert len(begun) == 1
    assert engine.ack_and_receive(leases(first), ["work"], ONE) == ([], [])
    for number in range(2, 6):
        came = wait_for_one(engine, other, number)
        assert (names(came), consumers(node, url)) == ([number], begun)
        assert engine.ack_and_receive(leases(came), ["work"], ONE)[0] == []
    assert engine.stats(["work"])["work"].ready == 0


def test_one_that_acknowledges_and_asks_for_nothing_is_sent_nothing(engine, other, wait_for_one):
    first = wait_for_one(engine, other, 1)
    assert not engine.ack(leases(first))
    send(other, 2)
    assert names(receive(other)) == [2]


def test_one_that_gives_back_is_not_sent_it_again(engine, other, wait_for_one):
    first = wait_for_one(engine, other, 1)
    assert not engine.requeue(leases(first))
    assert names(receive(other)) == [1]


def test_what_comes_while_one_is_held_is_for_others(engine, other, wait_for_one):
    first = wait_for_one(engine, other, 1)
    send(other, 2)
    assert names(receive(other)) == [2]
    assert not engine.ack(leases(first))


def test_many_that_come_at_once_are_claimed_together(engine, other, wait_for_one, monkeypatch):
    monkeypatch.setattr(taking, "_SOON", 5.0)  # on a busy machine what is ready takes its time, too
    came = wait_for_one(engine, other, 0)
    send(other, *range(1, 41))
    found: list[int] = []
    claims = 0
    while len(found) < 40:
        lost, more = engine.ack_and_receive(leases(came), ["work"], MANY)
        came = more or engine.receive(["work"], MANY, wait=5.0)
        assert (lost, bool(came)) == ([], True)
        found += names(came)
        claims += 1
    assert sorted(found) == list(range(1, 41))
    assert claims < 10
    assert not engine.ack(leases(came))


def test_one_that_asks_for_another_queue_leaves_what_comes_to_the_first(engine, other, wait_for_one):
    first = wait_for_one(engine, other, 1)
    engine.ack_and_receive(leases(first), ["work"], ONE)
    send(other, 2)
    send(other, 3, queue="else")
    assert names(engine.receive(["else"], ONE, wait=5.0)) == [3]
    assert names(receive(other)) == [2]


def test_a_queue_that_is_deleted_meanwhile_is_declared_again(engine, other, wait_for_one, node, url):
    first = wait_for_one(engine, other, 1)
    engine.ack_and_receive(leases(first), ["work"], ONE)
    vhost = url.rpartition("/")[2]
    node.control("-p", vhost, "delete_queue", "work")
    engine.receive(["work"], ONE, wait=1.0)
    send(engine, 2)
    assert names(engine.receive(["work"], ONE, wait=5.0)) == [2]


def store(open_store, url, kind):
    return open_store(url, find_queue=lambda name: QueueSpec(name, arguments={"x-queue-type": kind})).broker


def consumers(node, url):
    """Return the tags of the consumers of the virtual host, as soon as the server lists some."""
    vhost = url.rpartition("/")[2]

    def tags():
        listed = node.call("rabbit_amqqueue", "consumers_all", f'<<"{vhost}">>')
        return re.findall(r'consumer_tag,<<"([^"]*)">>', listed)

    eventually(lambda: bool(tags()))
    return tags()
