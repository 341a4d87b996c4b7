"""Acknowledgements of engines at rest, which claim nothing, and the waits that follow them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from redis import Redis

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker, Delivery, Terms
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import Store
from tests.faults.proxy import Proxy
from tests.integration.redis.samples import DEADLINE, broker_of, ids, leases, outgoing, receive

Open = Callable[..., Store]

WAITING = Terms(limit=10, lease=30.0, owner="w", waits=True)
ONE = Terms(limit=1, lease=30.0, owner="w", waits=True)
LONG = 60.0
RESULT = ResultRecord(task_id="t", state="SUCCESS", payload=b'{"status": "SUCCESS"}', ttl=60.0)


@pytest.fixture
def far(proxy: Proxy, connect: Open, prefix: str) -> Broker:
    """A broker that reaches its server through the proxy."""
    return broker_of(connect(proxy.url, client_name=prefix, transport_options={"global_keyprefix": prefix}))


@pytest.fixture
def near(store: Store) -> Broker:
    return broker_of(store)


def announce(broker: Broker, near: Broker) -> None:
    """Acknowledge a message, with a result, and announce a wait."""
    near.send([outgoing("first")])
    held = leases(receive(broker))
    assert broker.ack_and_receive(held, ["q"], WAITING, results=[RESULT]) == ([], [])


def come_through(broker: Broker, wanted: int, terms: Terms = WAITING) -> list[Delivery]:
    """Receive as an engine does, which tries again after an error, until so many have come."""
    found: list[Delivery] = []
    ends = time.monotonic() + DEADLINE
    while len(found) < wanted:
        assert time.monotonic() < ends, f"only {ids(found)} came"
        try:
            found += broker.receive(["q"], terms, wait=1.0)
        except BrokerError:
            time.sleep(0.05)
    return found


def test_it_settles_and_claims_nothing(near: Broker, far: Broker, outside: Redis, prefix: str) -> None:
    announce(far, near)
    assert outside.get(f"{prefix.rstrip(':')}:celery-task-meta-t") == RESULT.payload
    near.send([outgoing("second")])
    assert near.stats(["q"])["q"].leased == 0
    assert ids(far.receive(["q"], WAITING, wait=LONG)) == ["second"]


def test_a_server_that_refuses_what_comes_before_settles_all_the_same(
    near: Broker, far: Broker, outside: Redis
) -> None:
    near.send([outgoing("first")])
    held = leases(receive(far))
    outside.acl_setuser("default", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-ping"])
    try:
        assert far.ack_and_receive(held, ["q"], WAITING, results=[RESULT]) == ([], [])
    finally:
        outside.acl_setuser("default", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all"])
    assert near.stats(["q"])["q"].leased == 0


def test_the_next_message_may_be_in_the_answer(near: Broker, far: Broker) -> None:
    near.send([outgoing("first")])
    held = leases(receive(far))
    near.send([outgoing("second")])
    lost, found = far.ack_and_receive(held, ["q"], WAITING)
    assert list(lost) == []
    assert ids(found or far.receive(["q"], WAITING, wait=LONG)) == ["second"]


def test_a_server_that_forgot_its_scripts_is_told_them_again(near: Broker, far: Broker, outside: Redis) -> None:
    near.send([outgoing("first")])
    held = leases(receive(far))
    outside.script_flush()
    assert far.ack_and_receive(held, ["q"], WAITING, results=[RESULT]) == ([], [])
    near.send([outgoing("second")])
    assert ids(far.receive(["q"], WAITING, wait=LONG)) == ["second"]
    assert near.stats(["q"])["q"].leased == 1


def test_a_lost_lease_is_told(near: Broker, far: Broker) -> None:
    near.send([outgoing("first")])
    held = leases(receive(far))
    assert near.requeue(held) == []
    lost, found = far.ack_and_receive(held, ["q"], WAITING, results=[RESULT])
    assert list(lost) == held
    assert ids(found or far.receive(["q"], WAITING, wait=LONG)) == ["first"]


def test_nothing_is_lost_when_the_connection_is_killed(near: Broker, far: Broker, outside: Redis, prefix: str) -> None:
    announce(far, near)
    for one in outside.client_list():
        if one["name"] == prefix:
            outside.client_kill_filter(_id=one["id"])
    near.send([outgoing("second")])
    assert ids(come_through(far, 1)) == ["second"]


def test_a_broker_that_is_closed_before_the_wait_takes_nothing(near: Broker, far: Broker) -> None:
    announce(far, near)
    far.close()
    near.send([outgoing("second")])
    assert ids(receive(near, wait=LONG)) == ["second"]


def test_a_refused_acknowledgement_does_not_keep_the_wait(near: Broker, far: Broker, outside: Redis) -> None:
    near.send([outgoing("first")])
    held = leases(receive(far))
    outside.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerError, match="out of memory"):
            far.ack_and_receive(held, ["q"], WAITING, results=[RESULT])
    finally:
        outside.config_set("maxmemory", 0)
    near.send([outgoing("second")])
    assert ids(come_through(far, 1)) == ["second"]
    assert far.ack(held) == []


def test_two_threads_announce_each_its_own(near: Broker, far: Broker) -> None:
    near.send([outgoing(n) for n in range(40)])
    taken: list[str] = []

    def work() -> None:
        held = leases(come_through(far, 1, ONE))
        ends = time.monotonic() + DEADLINE
        while time.monotonic() < ends and len(taken) < 38:
            _, found = far.ack_and_receive(held, ["q"], ONE)
            found = found or far.receive(["q"], ONE, wait=0.2)
            taken.extend(ids(found))
            held = leases(found)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(DEADLINE)
    assert len(set(taken)) == len(taken) == 38  # beside the first of each
