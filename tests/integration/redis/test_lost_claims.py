"""Claims that the server carried out for an engine that never had the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from celeriac.drivers.redis.scripts import CLAIM, RECOVER
from celeriac.exceptions import BrokerUnavailable
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store
from tests.faults.proxy import Proxy
from tests.integration.redis.samples import DEADLINE, broker_of, ids, leases, outgoing, receive
from tests.servers.redis import RedisServer

Open = Callable[..., Store]


@pytest.fixture
def far(proxy: Proxy, connect: Open, prefix: str) -> Broker:
    """An engine's broker, which reaches its server through the proxy."""
    return broker_of(connect(proxy.url, client_name=prefix, transport_options={"global_keyprefix": prefix}))


@pytest.fixture
def near(store: Store) -> Broker:
    """A broker on the same namespace that reaches it directly."""
    broker = broker_of(store)
    receive(broker, "none")  # teaches the server the script
    return broker


def lose_a_claim(broker: Broker, proxy: Proxy, *queues: str, lease: float = 30.0) -> None:
    """Have the server carry out a claim whose answer does not arrive."""
    proxy.loses_answer_to = CLAIM.sha.encode()
    with pytest.raises(BrokerUnavailable):
        receive(broker, *queues, lease=lease)
    proxy.loses_answer_to = None


def is_waited_for(outside: Redis, name: str) -> bool:
    return any(one["name"] == name and "b" in one["flags"] for one in outside.client_list())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def test_what_was_claimed_comes_with_the_next_claim(near: Broker, far: Broker, proxy: Proxy) -> None:
    near.send([outgoing(n, priority=n) for n in range(5)])
    lose_a_claim(far, proxy)
    assert near.stats(["q"])["q"].leased == 5
    found = receive(far)
    assert ids(found) == ["0", "1", "2", "3", "4"]
    assert [one.redelivered for one in found] == [False] * 5
    assert receive(far) == []
    assert far.extend(leases(found), lease=30.0) == []
    assert far.ack(leases(found)) == []
    assert near.stats(["q"])["q"].leased == 0


def test_so_does_what_was_claimed_at_the_end_of_a_wait(
    near: Broker, far: Broker, proxy: Proxy, outside: Redis, prefix: str
) -> None:
    assert receive(far, wait=0.01) == []
    proxy.loses_answer_to = CLAIM.sha.encode()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, far, wait=60.0)
        until(lambda: is_waited_for(outside, prefix))
        near.send([outgoing("a")])
        with pytest.raises(BrokerUnavailable):
            waiting.result(DEADLINE)
    proxy.loses_answer_to = None
    found = receive(far, wait=60.0)
    assert ids(found) == ["a"]
    assert far.ack(leases(found)) == []


def test_it_comes_in_portions_none_twice_and_each_with_a_lease_of_its_own(
    near: Broker, far: Broker, proxy: Proxy, outside: Redis, prefix: str
) -> None:
    near.send([outgoing(n, queue=f"q{n % 2}") for n in range(7)])
    lose_a_claim(far, proxy, "q0", "q1", lease=10.0)
    before = dict(outside.zscan_iter(f"{prefix}unacked_index"))
    portions = [receive(far, "q1", "q0", limit=3, lease=60.0) for _ in range(4)]
    assert [ids(portion) for portion in portions] == [["0", "2", "4"], ["6", "1", "3"], ["5"], []]
    after = dict(outside.zscan_iter(f"{prefix}unacked_index"))
    assert before.keys() == after.keys()
    assert all(after[tag] > score + 40 for tag, score in before.items())
    assert [one.lease.queue for portion in portions for one in portion] == ["q0"] * 4 + ["q1"] * 3


def test_a_claim_that_was_not_carried_out_yet_never_is(
    near: Broker, far: Broker, proxy: Proxy, outside: Redis, prefix: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, far, wait=60.0)
        until(lambda: is_waited_for(outside, prefix))
        proxy.desert()
        with pytest.raises(BrokerUnavailable):
            waiting.result(DEADLINE)
    assert is_waited_for(outside, prefix)
    assert receive(far) == []
    assert not is_waited_for(outside, prefix)
    near.send([outgoing("a")])
    assert ids(receive(near)) == ["a"]


def test_what_another_has_taken_over_stays_with_it(near: Broker, far: Broker, proxy: Proxy) -> None:
    near.send([outgoing("a")])
    lose_a_claim(far, proxy, lease=0.05)
    until(lambda: near.upkeep(limit=10).reclaimed == 1)
    assert ids(receive(near)) == ["a"]
    assert receive(far) == []


def test_it_is_kept_for_those_who_ask_for_its_queues(near: Broker, far: Broker, proxy: Proxy) -> None:
    near.send([outgoing("a")])
    lose_a_claim(far, proxy)
    assert receive(far, "other") == []
    assert ids(receive(far)) == ["a"]


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "snow \N{SNOWMAN}", 'a","","b', "q]"])
def test_it_comes_from_queues_with_odd_names(near: Broker, far: Broker, proxy: Proxy, name: str) -> None:
    near.send([outgoing("a", queue=name)])
    lose_a_claim(far, proxy, "other", name)
    (found,) = receive(far, "other", name)
    assert found.lease.queue == name
    assert ids([found]) == ["a"]


def test_a_server_that_ran_it_when_it_thawed_has_stranded_nothing(own_redis_server: RedisServer, connect: Open) -> None:
    broker = broker_of(connect(own_redis_server.url, socket_timeout=0.5))
    receive(broker)
    broker.send([outgoing("a")])
    own_redis_server.pause()
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        receive(broker)
    own_redis_server.resume()
    assert ids(receive(broker)) == ["a"]
    assert broker.stats(["q"])["q"].leased == 1


def test_it_comes_even_if_the_answer_is_lost_again(near: Broker, far: Broker, proxy: Proxy) -> None:
    near.send([outgoing("a")])
    lose_a_claim(far, proxy)
    proxy.loses_answer_to = RECOVER.sha.encode()
    with pytest.raises(BrokerUnavailable):
        receive(far)
    proxy.loses_answer_to = None
    assert ids(receive(far)) == ["a"]


def test_the_child_of_a_fork_leaves_it_to_its_parent(near: Broker, far: Broker, proxy: Proxy) -> None:
    near.send([outgoing("a")])
    lose_a_claim(far, proxy)
    far.forget_parent()  # as in the child
    assert receive(far) == []


def test_a_server_that_does_not_tell_who_asked_gives_it_too(
    start: Callable[[Callable[[], RedisServer]], RedisServer], connect: Open
) -> None:
    server = start(lambda: RedisServer(user="app", password="secret"))
    with server.client() as outside, Proxy(server.port) as proxy:
        outside.acl_setuser(
            "low", enabled=True, passwords=["+pw"], categories=["+@all"], commands=["-client"], keys="*", channels="*"
        )
        broker = broker_of(connect(proxy.url.replace("redis://", "redis://low:pw@")))
        assert receive(broker) == []  # teaches the server the script
        broker.send([outgoing("a")])
        lose_a_claim(broker, proxy)
        assert broker.stats(["q"])["q"].leased == 1
        assert ids(receive(broker)) == ["a"]
