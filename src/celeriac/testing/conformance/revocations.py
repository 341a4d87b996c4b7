"""The suite of the contract of revocations: what is told to whom, under which number, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from celeriac.interfaces.broker import Terms
from celeriac.interfaces.revocations import Revocation, RevocationStore
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.fixtures import Pass
from celeriac.testing.conformance.samples import (
    DEADLINE,
    LEASE,
    OWNER,
    QUEUE,
    drain,
    in_thread,
    leases,
    outgoing,
    receive,
    send,
)

HOURS = 10_800.0


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> RevocationStore:
    """A second client of the same store."""
    revocations = reopen().revocations
    assert revocations is not None
    return revocations


def told(revocations: RevocationStore, number: int = 0) -> list[Revocation]:
    """Return what came after a number, but for how long it is remembered."""
    return [replace(one, ttl=0.0) for one in revocations.since(number)[1]]


def of(*ids: str, ttl: float = HOURS) -> list[Revocation]:
    return [Revocation(task_id, ttl=ttl) for task_id in ids]


def test_at_first_nothing_is_revoked(revocations: RevocationStore) -> None:
    assert revocations.since(0) == (0, [])
    assert revocations.heard == 0
    revocations.add([])
    assert revocations.since(0) == (0, [])


def test_what_one_adds_all_are_told_whole_and_in_order(revocations: RevocationStore, peer: RevocationStore) -> None:
    first = Revocation("an id", signal="SIGTERM", ttl=HOURS)
    second = Revocation(header="order", stamp="4711 \u00e4", ttl=HOURS)
    revocations.add([first])
    revocations.add([second, *of("b", "a")])
    assert told(peer) == [replace(one, ttl=0.0) for one in (first, second, *of("b", "a"))]
    assert all(HOURS - 60 < one.ttl <= HOURS for one in peer.since(0)[1])


def test_who_knows_some_is_told_the_others(revocations: RevocationStore) -> None:
    revocations.add(of("a", "b"))
    number, _ = revocations.since(0)
    assert revocations.since(number) == (number, [])
    revocations.add(of("c"))
    newest, _ = revocations.since(number)
    assert newest > number > 0
    assert told(revocations, number) == of("c", ttl=0.0)


def test_what_is_known_is_not_news(revocations: RevocationStore, peer: RevocationStore) -> None:
    revocations.add(of("a"))
    number, _ = revocations.since(0)
    peer.add(of("a", "a"))
    assert peer.since(number) == (number, [])


def test_what_is_to_be_remembered_for_longer_is_news(revocations: RevocationStore) -> None:
    revocations.add(of("a", ttl=60.0))
    number, _ = revocations.since(0)
    revocations.add(of("a"))
    newest, (again,) = revocations.since(number)
    assert newest > number
    assert again.ttl > 60.0
    assert told(revocations) == of("a", ttl=0.0)


def test_to_end_what_runs_is_another_matter(revocations: RevocationStore) -> None:
    revocations.add(of("a"))
    number, _ = revocations.since(0)
    revocations.add([Revocation("a", signal="SIGKILL", ttl=HOURS)])
    assert told(revocations, number) == [Revocation("a", signal="SIGKILL")]


def test_what_has_ended_is_forgotten_and_its_number_is_not_used_again(
    revocations: RevocationStore, let_pass: Pass
) -> None:
    revocations.add(of("a", ttl=0.3))
    number, _ = revocations.since(0)
    revocations.add(of("b", ttl=0.9))
    let_pass(0.5)
    assert told(revocations) == of("b", ttl=0.0)
    let_pass(0.6)
    assert told(revocations) == []
    revocations.add(of("c"))
    newest, _ = revocations.since(0)
    assert newest > number
    assert told(revocations, number) == of("c", ttl=0.0)


def test_who_receives_has_heard_of_what_was_revoked_before(store: Store, peer: RevocationStore) -> None:
    broker, revocations = store.broker, store.revocations
    assert broker is not None
    assert revocations is not None
    send(broker, "one", "two", "three")
    peer.add(of("a"))
    first = receive(broker, limit=1, wait=DEADLINE)
    assert revocations.heard == peer.since(0)[0] > 0
    peer.add(of("b"))
    _, second = broker.ack_and_receive(leases(first), [QUEUE], Terms(limit=1, lease=LEASE, owner=OWNER))
    assert len(second) == 1
    assert revocations.heard == peer.since(0)[0]
    peer.add(of("c"))
    third = receive(broker, limit=1, wait=DEADLINE)
    assert revocations.heard == peer.since(0)[0]
    broker.ack(leases(second))
    peer.add(of("d"))
    follow_ups = {third[0].lease.tag: [outgoing("following")]}
    terms = Terms(limit=1, lease=LEASE, owner=OWNER)
    _, fourth = broker.ack_and_receive(leases(third), [QUEUE], terms, follow_ups=follow_ups)
    assert len(fourth) == 1
    assert revocations.heard == peer.since(0)[0]
    broker.ack(leases(fourth))


def test_who_waits_for_a_message_has_heard_of_what_was_revoked_before_it(
    store: Store, reopen: Callable[[], Store]
) -> None:
    broker, revocations, other = store.broker, store.revocations, reopen()
    assert broker is not None
    assert revocations is not None
    assert other.broker is not None
    assert other.revocations is not None
    with in_thread(lambda: receive(broker, wait=DEADLINE)) as waiting:
        other.revocations.add(of("a"))
        send(other.broker, "one")
        found = waiting.result(DEADLINE)
    assert revocations.heard == other.revocations.since(0)[0] > 0
    broker.ack(leases(found))


def test_thousands_are_kept(revocations: RevocationStore, peer: RevocationStore) -> None:
    ids = [f"{number:036}" for number in range(5000)]
    revocations.add(of(*ids))
    assert [one.task_id for one in peer.since(0)[1]] == ids


def test_many_may_add_at_once(revocations: RevocationStore, peer: RevocationStore) -> None:
    def add(number: int) -> None:
        (revocations, peer)[number % 2].add(of(f"{number}", f"{number} again", "same"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    found = [one.task_id for one in peer.since(0)[1]]
    assert sorted(found) == sorted(["same", *map(str, range(100)), *(f"{number} again" for number in range(100))])


def test_a_delayed_message_of_a_revoked_task_becomes_due(store: Store, clock: FakeClock) -> None:
    broker, revocations = store.broker, store.revocations
    assert broker is not None
    assert revocations is not None
    later = clock.now() + HOURS
    names = [f"{number}" for number in range(3000)]
    broker.send([outgoing(name, not_before=later) for name in names])
    broker.send([outgoing("elsewhere", queue="other", not_before=later), outgoing("last", not_before=later)])
    revocations.add(of("id-2", "id-elsewhere", "id-2999", "id-nobody"))
    broker.upkeep(limit=1000)
    assert sorted(drain(broker, QUEUE, "other")) == ["2", "2999", "elsewhere"]
    assert broker.stats([QUEUE])[QUEUE].delayed == 2999
