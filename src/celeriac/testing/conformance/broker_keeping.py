"""Keeping: counts, purging, several clients, many threads, closing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import (
    DEADLINE,
    LEASE,
    QUEUE,
    drain,
    is_empty,
    lapse,
    leases,
    levels,
    names,
    outgoing,
    receive,
    send,
    told,
)

THREADS = 10
PER_THREAD = 40


def test_stats_count_what_is_ready_delayed_leased_and_dead(broker: Broker, clock: FakeClock) -> None:
    for priority in levels(broker):
        send(broker, f"ready-{priority}", priority=priority)
    ready = len(levels(broker))
    broker.send([outgoing("later", not_before=clock.now() + 60)])
    send(broker, "poison", "held", queue="second")
    poison, _ = receive(broker, "second")
    broker.reject([poison.lease], reason="poison")
    stats = broker.stats([QUEUE, "second", "unknown"])
    assert (stats[QUEUE].ready, stats[QUEUE].dead) == (ready, 0)
    assert (told(stats[QUEUE].delayed, 1), told(stats[QUEUE].leased, 0)) == (1, 0)
    dead = int(broker.capabilities.dead_letters)
    assert (stats["second"].ready, told(stats["second"].leased, 1), stats["second"].dead) == (0, 1, dead)
    assert is_empty(stats["unknown"])


def test_stats_tell_the_age_of_the_oldest_ready_message(broker: Broker, clock: FakeClock) -> None:
    assert broker.stats([QUEUE])[QUEUE].oldest_age is None
    send(broker, "old")
    clock.advance(100)
    send(broker, "new")
    age = broker.stats([QUEUE])[QUEUE].oldest_age
    assert age is None or age == pytest.approx(100, abs=5)
    drain(broker)
    assert broker.stats([QUEUE])[QUEUE].oldest_age is None


def test_stats_never_miss_a_message_that_changes_hands(broker: Broker) -> None:
    """It is ready at one moment, held at the next, and replaced by another at a third: one at every moment."""
    send(broker, 0)
    assert broker.stats([QUEUE])[QUEUE].leased is not None, "a store that cannot tell leaves this test out"
    hands = threading.Thread(target=_pass_on, args=(broker, 200), name="hands")
    hands.start()
    missed = 0
    while hands.is_alive():
        stats = broker.stats([QUEUE])[QUEUE]
        missed += stats.ready + (stats.leased or 0) != 1
    hands.join(DEADLINE)
    assert missed == 0


def _pass_on(broker: Broker, times: int) -> None:
    for number in range(1, times + 1):
        (held,) = leases(receive(broker, wait=DEADLINE))
        broker.ack([held], follow_ups={held.tag: [outgoing(number)]})


def test_a_queue_that_messages_can_be_sent_to_passes_the_check(broker: Broker) -> None:
    for name in (QUEUE, "a queue of mine", "Größe:1"):
        broker.check_queue(name)
        send(broker, 1, queue=name)
        assert drain(broker, name) == [1]


def test_stats_of_no_queues_are_empty(broker: Broker) -> None:
    assert dict(broker.stats([])) == {}


def test_purging_removes_what_is_ready_or_delayed_and_never_what_is_leased(broker: Broker, clock: FakeClock) -> None:
    send(broker, "held")
    held = leases(receive(broker))
    send(broker, "ready", priority=levels(broker)[0])
    send(broker, "other", queue="other")
    broker.send([outgoing("later", not_before=clock.now() + 60)])
    assert broker.purge(QUEUE) == 2
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, stats.delayed, stats.leased) == (0, 0, 1)
    clock.advance(LEASE + 1)
    broker.upkeep(limit=100)
    back = receive(broker)
    assert names(back) == ["held"]
    assert list(broker.ack(held)) == held
    assert drain(broker, "other") == ["other"]


def test_purging_an_unknown_queue_removes_nothing(broker: Broker) -> None:
    assert broker.purge("never-seen") == 0


def test_two_clients_share_the_store(broker: Broker, reopen: Callable[[], Store]) -> None:
    peer = reopen().broker
    assert peer is not None
    send(broker, 1)
    assert drain(peer) == [1]
    assert is_empty(broker.stats([QUEUE])[QUEUE])


def test_messages_outlive_the_client_that_sent_them(broker: Broker, reopen: Callable[[], Store]) -> None:
    peer = reopen().broker
    assert peer is not None
    send(peer, 1)
    peer.close()
    assert drain(broker) == [1]


def test_a_holder_that_vanishes_loses_nothing(broker: Broker, reopen: Callable[[], Store], clock: FakeClock) -> None:
    vanishing = reopen().broker
    assert vanishing is not None
    send(broker, *range(20))
    taken = receive(vanishing, limit=12)
    vanishing.ack(leases(taken)[:4])
    vanishing.close()
    lapse(vanishing, broker, clock)
    assert sorted(drain(broker)) == list(range(4, 20))


def test_closing_twice_is_no_error_and_leaves_held_messages_leased(broker: Broker, reopen: Callable[[], Store]) -> None:
    peer = reopen().broker
    assert peer is not None
    send(broker, 1)
    receive(peer)
    peer.close()
    peer.close()
    if broker.capabilities.leases:
        assert list(receive(broker)) == []
        assert broker.stats([QUEUE])[QUEUE].leased == 1


def test_connecting_is_no_error_however_often(broker: Broker) -> None:
    broker.connect()
    broker.connect()


def test_the_location_names_the_store(broker: Broker) -> None:
    assert "://" in broker.location


def test_many_threads_neither_lose_nor_double_a_message(broker: Broker) -> None:
    total = THREADS * PER_THREAD
    done: list[Any] = []
    counting = threading.Lock()

    def produce(thread: int) -> None:
        for nth in range(0, PER_THREAD, 4):
            send(broker, *(thread * PER_THREAD + nth + k for k in range(4)))

    def consume() -> None:
        while True:
            deliveries = receive(broker, limit=7, wait=0.5)
            if not deliveries:
                return
            assert list(broker.ack(leases(deliveries))) == []
            with counting:
                done.extend(names(deliveries))

    with ThreadPoolExecutor(THREADS * 2, thread_name_prefix="suite") as pool:
        futures = [pool.submit(produce, thread) for thread in range(THREADS)]
        futures += [pool.submit(consume) for _ in range(THREADS)]
        for future in futures:
            future.result(DEADLINE)
    done += drain(broker)
    assert Counter(done) == Counter(range(total))


def test_many_clients_neither_lose_nor_double_a_message(broker: Broker, reopen: Callable[[], Store]) -> None:
    send(broker, *range(200))
    peers = [peer for peer in (reopen().broker for _ in range(4)) if peer is not None]

    def consume(peer: Broker) -> list[Any]:
        done: list[Any] = []
        while deliveries := receive(peer, limit=3):
            assert list(peer.ack(leases(deliveries))) == []
            done += names(deliveries)
        return done

    with ThreadPoolExecutor(4, thread_name_prefix="suite") as pool:
        parts = [future.result(DEADLINE) for future in [pool.submit(consume, peer) for peer in peers]]
    assert Counter(name for part in parts for name in part) == Counter(range(200))
