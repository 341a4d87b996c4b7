"""The fixtures of the suite, all made from the one that a store supplies: `case`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from celeriac.interfaces.broker import Broker
from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.dead_letters import DeadLetters
from celeriac.interfaces.groups import GroupStore
from celeriac.interfaces.pubsub import PubSub
from celeriac.interfaces.results import ResultBackend
from celeriac.interfaces.revocations import RevocationStore
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.case import Case

THREAD_PREFIX = "celeriac-"
"""How the threads are named that a driver starts; none may outlive the clients that started it."""

CLOSING = 5.0
"""How long threads may take to end after `close`, in seconds."""


Pass = Callable[[float], None]
"""Lets seconds pass."""


@pytest.fixture
def clock() -> FakeClock:
    """The clock that every client of the case reads; it starts now, for servers that compare it with their own."""
    return FakeClock(float(int(time.time())))


@pytest.fixture
def let_pass(case: Case, clock: FakeClock) -> Pass:
    """Let seconds pass, for the test's clock and, where it counts, for the server's."""

    def wait(seconds: float) -> None:
        clock.advance(seconds)
        if not case.expires_by_clock:
            time.sleep(seconds)

    return wait


@pytest.fixture
def reopen(case: Case) -> Iterator[Callable[[], Store]]:
    """Open one more client of the same store; all are closed after the test, and leaks are looked for."""
    before = set(threading.enumerate())
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(case.open())
        return stores[-1]

    yield open_one
    for store in stores:
        close_store(store)
    leaks = [*_threads_left(before), *case.find_leaks()]
    assert not leaks, f"{case.name} leaks after close: {leaks}"


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    """The first client of the store."""
    return reopen()


@pytest.fixture
def broker(store: Store) -> Broker:
    assert store.broker is not None, "this store is no broker; leave the broker suite out"
    return store.broker


@pytest.fixture
def dead_letters(store: Store) -> DeadLetters:
    assert store.dead_letters is not None, "this store shows no dead letters; leave the dead-letter suite out"
    return store.dead_letters


@pytest.fixture
def pubsub(store: Store) -> PubSub:
    assert store.pubsub is not None, "this store cannot broadcast; leave the pubsub suite out"
    return store.pubsub


@pytest.fixture
def coordinator(store: Store) -> Coordinator:
    assert store.coordinator is not None, "this store cannot coordinate; leave the coordinator suite out"
    return store.coordinator


@pytest.fixture
def results(store: Store) -> ResultBackend:
    assert store.results is not None, "this store keeps no results; leave the results suite out"
    return store.results


@pytest.fixture
def groups(store: Store) -> GroupStore:
    assert store.groups is not None, "this store counts no chords; leave the groups suite out"
    return store.groups


@pytest.fixture
def revocations(store: Store) -> RevocationStore:
    assert store.revocations is not None, "this store keeps no revocations; leave the revocations suite out"
    return store.revocations


def close_store(store: Store) -> None:
    """Close those of the contracts that the store has; dead letters end with the broker."""
    for part in (store.broker, store.pubsub, store.coordinator, store.results):
        if part is not None:
            part.close()


def _threads_left(before: set[threading.Thread]) -> list[str]:
    started = [t for t in threading.enumerate() if t not in before and t.name.startswith(THREAD_PREFIX)]
    deadline = time.monotonic() + CLOSING
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [f"thread {thread.name}" for thread in started if thread.is_alive()]
