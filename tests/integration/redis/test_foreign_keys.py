"""Keys that another program put something else into while messages were held: refused, or a dead letter; never lost."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from celeriac.exceptions import BrokerError
from celeriac.interfaces.store import Store
from tests.integration.redis.samples import broker_of, ids, leases, outgoing, receive


@pytest.mark.parametrize(
    ("key", "delay"), [("q", 0.0), ("q", 60.0), ("celeriac:delayed", 60.0), ("celeriac:delayed:q", 60.0)]
)
def test_what_cannot_be_given_back_stays_held(
    store: Store, outside: Redis, prefix: str, key: str, delay: float
) -> None:
    broker = broker_of(store)
    broker.send([outgoing()])
    held = receive(broker)
    outside.set(prefix + key, "not ours")
    with pytest.raises(BrokerError, match="another program uses a key"):
        broker.requeue(leases(held), delay=delay)
    outside.delete(prefix + key)
    assert broker.requeue(leases(held)) == []
    assert ids(receive(broker)) == ["1"]


@pytest.mark.parametrize("key", ["celeriac:dead", "celeriac:dead:q"])
def test_what_cannot_become_a_dead_letter_stays_held(store: Store, outside: Redis, prefix: str, key: str) -> None:
    broker = broker_of(store)
    broker.send([outgoing()])
    held = receive(broker)
    outside.set(prefix + key, "not ours")
    with pytest.raises(BrokerError, match="another program uses a key"):
        broker.reject(leases(held), reason="no")
    outside.delete(prefix + key)
    assert broker.reject(leases(held), reason="no") == []


def test_a_dead_letter_that_cannot_be_given_back_stays_one(store: Store, outside: Redis, prefix: str) -> None:
    broker = broker_of(store)
    assert store.dead_letters is not None
    broker.send([outgoing()])
    broker.reject(leases(receive(broker)), reason="no")
    (letter,) = store.dead_letters.page("q", limit=10)
    outside.set(prefix + "q", "not ours")
    with pytest.raises(BrokerError, match="another program uses a key"):
        store.dead_letters.requeue([letter.id])
    outside.delete(prefix + "q")
    assert store.dead_letters.requeue([letter.id]) == []
    assert ids(receive(broker)) == ["1"]


def test_what_a_dead_holder_had_of_such_a_queue_is_a_dead_letter_and_holds_up_no_other(
    store: Store, outside: Redis, prefix: str
) -> None:
    broker = broker_of(store)
    assert store.dead_letters is not None
    broker.send([outgoing(1), outgoing(2, queue="other"), outgoing(3)])
    assert len(receive(broker, "q", "other", lease=0.1)) == 3
    outside.set(prefix + "q", "not ours")
    time.sleep(0.2)
    assert broker.upkeep(limit=100).reclaimed == 3
    assert ids(receive(broker, "other")) == ["2"]
    outside.delete(prefix + "q")
    letters = store.dead_letters.page("q", limit=10)
    assert len(letters) == 2
    assert "holds something else" in letters[0].reason
    assert store.dead_letters.requeue([letter.id for letter in letters]) == []
    assert sorted(ids(receive(broker))) == ["1", "3"]
