"""Waiting: woken by a message, by an interruption, by the end of the time, and by nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from celeriac.interfaces.broker import Broker, Terms
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import (
    DEADLINE,
    drain,
    in_thread,
    leases,
    names,
    outgoing,
    receive,
    send,
)

LONG = 60.0
"""A wait that must not last: the test fails at `DEADLINE` before."""

WAITING = Terms(limit=10, lease=60.0, owner="test", waits=True)


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> Broker:
    """A second client of the same store."""
    broker = reopen().broker
    assert broker is not None
    return broker


def test_a_wait_ends_empty_when_its_time_is_over(broker: Broker) -> None:
    start = time.monotonic()
    assert list(receive(broker, wait=0.2)) == []
    assert time.monotonic() - start >= 0.19


def test_what_is_ready_is_received_without_waiting_for_more(broker: Broker) -> None:
    send(broker, 1)
    with in_thread(lambda: receive(broker, limit=50, wait=LONG)) as received:
        assert names(received.result(DEADLINE)) == [1]


def test_a_wait_ends_when_another_client_sends(broker: Broker, peer: Broker) -> None:
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        send(peer, 1)
        assert names(received.result(DEADLINE)) == [1]


def test_a_wait_ends_when_the_same_client_sends(broker: Broker) -> None:
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        send(broker, 1)
        assert names(received.result(DEADLINE)) == [1]


def test_a_wait_on_several_queues_ends_with_a_message_on_the_last(broker: Broker, peer: Broker) -> None:
    with in_thread(lambda: receive(broker, "a", "b", "c", wait=LONG)) as received:
        send(peer, 1, queue="unheard")
        send(peer, 2, queue="c")
        assert names(received.result(DEADLINE)) == [2]


def test_a_wait_ends_when_a_message_is_given_back(broker: Broker, peer: Broker) -> None:
    send(broker, 1)
    held = leases(receive(peer))
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        peer.requeue(held)
        assert names(received.result(DEADLINE)) == [1]


def test_a_wait_ends_when_a_follow_up_is_sent(broker: Broker, peer: Broker) -> None:
    send(broker, 1)
    held = leases(receive(peer))
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        peer.ack(held, follow_ups={held[0].tag: [outgoing(2)]})
        assert names(received.result(DEADLINE)) == [2]


def test_a_wait_ends_when_upkeep_makes_a_message_ready(broker: Broker, peer: Broker, clock: FakeClock) -> None:
    broker.send([outgoing(1, not_before=clock.now() + 500)])
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        clock.advance(501)
        peer.upkeep(limit=10)
        assert names(received.result(DEADLINE)) == [1]


def test_an_interruption_ends_a_wait(broker: Broker) -> None:
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        broker.interrupt()
        assert list(received.result(DEADLINE)) == []


def test_an_interruption_before_a_wait_ends_that_wait_and_no_other(broker: Broker) -> None:
    broker.interrupt()
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        assert list(received.result(DEADLINE)) == []
    start = time.monotonic()
    assert list(receive(broker, wait=0.2)) == []
    assert time.monotonic() - start >= 0.19


def test_an_interruption_is_not_spent_by_a_call_that_does_not_wait(broker: Broker) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    broker.interrupt()
    assert broker.ack_and_receive(held, ["work"], Terms(limit=1, lease=60.0, owner="test")) == ([], [])
    with in_thread(lambda: receive(broker, wait=LONG)) as received:
        assert list(received.result(DEADLINE)) == []


def test_a_wait_that_an_acknowledgement_announces_ends_with_the_next_message(broker: Broker, peer: Broker) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    for number in range(2, 5):
        assert broker.ack_and_receive(held, ["work"], WAITING) == ([], [])
        with in_thread(lambda: send(peer, number)):  # noqa: B023  it has run when the block ends
            deliveries = broker.receive(["work"], WAITING, wait=LONG)
        assert names(deliveries) == [number]
        held = leases(deliveries)
    assert list(broker.ack(held)) == []
    assert not broker.stats(["work"])["work"].leased


@pytest.mark.parametrize("wait", [0.0, LONG])
def test_what_comes_before_an_announced_wait_is_received_by_it(broker: Broker, peer: Broker, wait: float) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    assert broker.ack_and_receive(held, ["work"], WAITING) == ([], [])
    send(peer, 2)
    assert names(broker.receive(["work"], WAITING, wait=wait)) == [2]


def test_a_wait_that_was_announced_and_never_came_takes_nothing_along(broker: Broker, peer: Broker) -> None:
    send(broker, 1, 2)
    first, second = (leases(receive(broker, limit=1)) for _ in range(2))
    assert broker.ack_and_receive(first, ["work"], WAITING) == ([], [])
    send(peer, 3)
    lost, found = broker.ack_and_receive(second, ["work"], WAITING)
    assert list(lost) == []
    assert names(found or broker.receive(["work"], WAITING, wait=LONG)) == [3]


def test_an_interruption_ends_an_announced_wait_and_loses_nothing(broker: Broker, peer: Broker) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    assert broker.ack_and_receive(held, ["work"], WAITING) == ([], [])
    broker.interrupt()
    assert list(broker.receive(["work"], WAITING, wait=LONG)) == []
    send(peer, 2)
    assert names(broker.receive(["work"], WAITING, wait=LONG)) == [2]


def test_an_announced_wait_is_one_thread_s_own(broker: Broker, peer: Broker) -> None:
    send(broker, 1)
    held = leases(receive(broker))
    assert broker.ack_and_receive(held, ["work"], WAITING) == ([], [])
    with in_thread(lambda: receive(broker, "other", wait=LONG)) as elsewhere:
        send(peer, 2)
        assert names(broker.receive(["work"], WAITING, wait=LONG)) == [2]
        send(peer, 3, queue="other")
        assert names(elsewhere.result(DEADLINE)) == [3]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no signal to send here")
def test_an_interruption_from_a_signal_handler_ends_the_wait_that_it_struck(broker: Broker) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: broker.interrupt())
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        assert list(receive(broker, wait=LONG)) == []
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_an_interruption_does_not_reach_another_client(broker: Broker, peer: Broker) -> None:
    with in_thread(lambda: receive(peer, wait=LONG)) as received:
        broker.interrupt()
        send(broker, 1)
        assert names(received.result(DEADLINE)) == [1]
    broker.interrupt()
    receive(broker, wait=LONG)


def test_of_many_who_wait_each_message_wakes_one(broker: Broker, reopen: Callable[[], Store]) -> None:
    peers = [peer for peer in (reopen().broker for _ in range(3)) if peer is not None]
    received: list[object] = []

    def work(peer: Broker) -> None:
        while deliveries := receive(peer, wait=LONG, limit=1):
            peer.ack(leases(deliveries))
            received.extend(names(deliveries))

    with in_thread(lambda: work(peers[0])), in_thread(lambda: work(peers[1])), in_thread(lambda: work(peers[2])):
        for n in range(30):
            send(broker, n)
        end = time.monotonic() + DEADLINE
        while len(received) < 30 and time.monotonic() < end:
            time.sleep(0.01)
        for peer in peers:
            peer.interrupt()
    assert sorted(map(str, received)) == sorted(map(str, range(30)))
    assert drain(broker) == []
