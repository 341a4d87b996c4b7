"""The suite of the coordinator contract: locks that end, buckets that fill, counters that are forgotten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.fixtures import Pass
from celeriac.testing.conformance.samples import DEADLINE

TTL = 1.0
"""Short enough to be waited for where the server's own time counts."""


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> Coordinator:
    """A second client of the same store."""
    coordinator = reopen().coordinator
    assert coordinator is not None
    return coordinator


def test_a_lock_has_one_owner(coordinator: Coordinator, peer: Coordinator) -> None:
    assert coordinator.acquire("beat", owner="a", ttl=60)
    assert not peer.acquire("beat", owner="b", ttl=60)
    assert peer.acquire("other", owner="b", ttl=60)
    assert (peer.holder("beat"), peer.holder("other")) == ("a", "b")


def test_nobody_holds_what_was_never_taken(coordinator: Coordinator) -> None:
    assert coordinator.holder("never") is None
    assert coordinator.release("never", owner="a") is False


def test_a_lock_ends_by_itself(coordinator: Coordinator, peer: Coordinator, let_pass: Pass) -> None:
    assert coordinator.acquire("beat", owner="a", ttl=TTL)
    let_pass(TTL + 0.1)
    assert peer.holder("beat") is None
    assert peer.acquire("beat", owner="b", ttl=60)
    assert not coordinator.acquire("beat", owner="a", ttl=60)


def test_an_owner_may_renew(coordinator: Coordinator, peer: Coordinator, let_pass: Pass) -> None:
    assert coordinator.acquire("beat", owner="a", ttl=TTL)
    for _ in range(2):
        let_pass(TTL * 0.7)
        assert coordinator.acquire("beat", owner="a", ttl=TTL)
    assert not peer.acquire("beat", owner="b", ttl=TTL)


def test_a_lock_is_free_when_its_owner_gave_it_back(coordinator: Coordinator, peer: Coordinator) -> None:
    coordinator.acquire("beat", owner="a", ttl=60)
    assert coordinator.release("beat", owner="a") is True
    assert coordinator.release("beat", owner="a") is False
    assert coordinator.holder("beat") is None
    assert peer.acquire("beat", owner="b", ttl=60)


def test_a_stranger_cannot_release(coordinator: Coordinator, peer: Coordinator) -> None:
    coordinator.acquire("beat", owner="a", ttl=60)
    assert peer.release("beat", owner="b") is False
    assert peer.holder("beat") == "a"


def test_who_held_it_before_cannot_release_the_next_owners(coordinator: Coordinator, let_pass: Pass) -> None:
    coordinator.acquire("beat", owner="a", ttl=TTL)
    let_pass(TTL + 0.1)
    coordinator.acquire("beat", owner="b", ttl=60)
    assert coordinator.release("beat", owner="a") is False
    assert coordinator.holder("beat") == "b"


def test_of_many_who_try_at_once_one_gets_the_lock(coordinator: Coordinator, peer: Coordinator) -> None:
    clients = [coordinator, peer] * 5
    with ThreadPoolExecutor(10) as pool:
        tries = [pool.submit(c.acquire, "beat", owner=f"o{n}", ttl=60.0) for n, c in enumerate(clients)]
        assert sum(t.result(DEADLINE) for t in tries) == 1


def test_a_bucket_starts_full_and_then_says_how_long_to_wait(coordinator: Coordinator, peer: Coordinator) -> None:
    turns = [client.take("api", tokens=1, rate=2.0, burst=3) for client in (coordinator, peer, coordinator, peer)]
    assert turns == [0.0, 0.0, 0.0, pytest.approx(0.5, abs=0.01)]


def test_a_refusal_takes_nothing(coordinator: Coordinator, clock: FakeClock) -> None:
    assert coordinator.take("api", tokens=4, rate=1.0, burst=5) == 0.0
    assert coordinator.take("api", tokens=3, rate=1.0, burst=5) == pytest.approx(2.0, abs=0.01)
    assert coordinator.take("api", tokens=3, rate=1.0, burst=5) == pytest.approx(2.0, abs=0.01)
    assert coordinator.take("api", tokens=1, rate=1.0, burst=5) == 0.0
    clock.advance(3.0)
    assert coordinator.take("api", tokens=3, rate=1.0, burst=5) == 0.0


def test_a_bucket_fills_by_its_rate_and_never_beyond_its_burst(coordinator: Coordinator, clock: FakeClock) -> None:
    assert coordinator.take("api", tokens=5, rate=10.0, burst=5) == 0.0
    clock.advance(0.2)
    assert coordinator.take("api", tokens=2, rate=10.0, burst=5) == 0.0
    assert coordinator.take("api", tokens=1, rate=10.0, burst=5) == pytest.approx(0.1, abs=0.01)
    clock.advance(1000.0)
    assert coordinator.take("api", tokens=5, rate=10.0, burst=5) == 0.0
    assert coordinator.take("api", tokens=5, rate=10.0, burst=5) == pytest.approx(0.5, abs=0.01)


def test_buckets_are_apart(coordinator: Coordinator) -> None:
    assert coordinator.take("a", tokens=1, rate=1.0, burst=1) == 0.0
    assert coordinator.take("b", tokens=1, rate=1.0, burst=1) == 0.0
    assert coordinator.take("a", tokens=1, rate=1.0, burst=1) > 0


def test_a_full_bucket_that_was_forgotten_is_full(coordinator: Coordinator, let_pass: Pass) -> None:
    assert coordinator.take("api", tokens=2, rate=4.0, burst=2) == 0.0
    let_pass(1.0)
    assert coordinator.take("api", tokens=2, rate=4.0, burst=2) == 0.0
    assert coordinator.take("api", tokens=1, rate=4.0, burst=2) == pytest.approx(0.25, abs=0.05)


def test_a_counter_starts_at_zero_and_is_shared(coordinator: Coordinator, peer: Coordinator) -> None:
    assert coordinator.increment("crashes", ttl=60) == 1
    assert peer.increment("crashes", ttl=60) == 2
    assert coordinator.increment("crashes", by=5, ttl=60) == 7
    assert coordinator.increment("crashes", by=-7, ttl=60) == 0
    assert coordinator.increment("others", ttl=60) == 1


def test_a_counter_ends_after_its_last_change(coordinator: Coordinator, let_pass: Pass) -> None:
    assert coordinator.increment("crashes", ttl=TTL) == 1
    let_pass(TTL * 0.7)
    assert coordinator.increment("crashes", ttl=TTL) == 2
    let_pass(TTL * 0.7)
    assert coordinator.increment("crashes", ttl=TTL) == 3
    let_pass(TTL + 0.1)
    assert coordinator.increment("crashes", ttl=TTL) == 1


def test_many_threads_count_exactly(coordinator: Coordinator, peer: Coordinator) -> None:
    clients = [coordinator, peer] * 5
    with ThreadPoolExecutor(10) as pool:
        counts = [pool.submit(c.increment, "n", ttl=60.0) for c in clients for _ in range(5)]
        assert sorted(count.result(DEADLINE) for count in counts) == list(range(1, 51))


def test_closing_twice_is_no_error(coordinator: Coordinator) -> None:
    coordinator.acquire("beat", owner="a", ttl=60)
    coordinator.close()
    coordinator.close()


def test_a_lock_outlives_the_client_that_took_it(coordinator: Coordinator, peer: Coordinator) -> None:
    peer.acquire("beat", owner="a", ttl=60)
    peer.close()
    assert coordinator.holder("beat") == "a"
