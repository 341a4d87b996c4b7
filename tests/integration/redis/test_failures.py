"""What a broken, frozen, full or forbidding server does to callers: clear errors, and nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.drivers.redis import bell
from celeriac.exceptions import BackendError, BrokerError, BrokerUnavailable, CoordinatorError, SendIncomplete
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import Store
from tests.integration.redis.samples import DEADLINE, broker_of, ids, leases, outgoing, receive
from tests.servers.redis import RedisServer

Open = Callable[..., Store]
Start = Callable[[Callable[[], RedisServer]], RedisServer]
DONE = ResultRecord("t1", "SUCCESS", b'{"status":"SUCCESS"}', 60.0)


def test_every_contract_says_where_it_failed_and_what_to_do(connect: Open) -> None:
    store = connect("redis://:secret@127.0.0.1:1/0")
    assert store.results is not None
    assert store.coordinator is not None
    with pytest.raises(BrokerUnavailable, match=r"redis://127.0.0.1:1/0 .*queue 'q'.*Is the server running") as sending:
        broker_of(store).send([outgoing()])
    assert "secret" not in str(sending.value)
    with pytest.raises(BackendError, match="task t1"):
        store.results.store([DONE])
    with pytest.raises(CoordinatorError, match="leader"):
        store.coordinator.acquire("leader", owner="me", ttl=1.0)


@pytest.mark.parametrize("size", [3 << 20, 40 << 20])  # the first is read before the server hangs up, the second not
def test_what_is_larger_than_the_server_takes_is_refused_for_good(start: Start, connect: Open, size: int) -> None:
    server = start(lambda: RedisServer(options={"proto-max-bulk-len": "1mb"}))
    store = connect(server.url)
    assert store.results is not None
    large = ResultRecord("t1", "SUCCESS", b"x" * size, 60.0)
    with pytest.raises(BackendError, match=r"task t1.*proto-max-bulk-len") as storing:
        store.results.store([large])
    assert storing.value.is_for_good
    store.results.store([DONE])
    assert store.results.fetch(["t1"]) == {"t1": DONE.payload}
    with pytest.raises(BrokerError, match=r"queue 'q'.*proto-max-bulk-len") as sending:
        broker_of(store).send([outgoing("x" * size)])
    assert sending.value.is_for_good


def test_a_server_that_restarted_is_found_again_without_an_error(own_redis_server: RedisServer, connect: Open) -> None:
    broker = broker_of(connect(own_redis_server.url))
    broker.send([outgoing(1)])
    own_redis_server.restart()
    broker.send([outgoing(2)])
    assert ids(receive(broker)) == ["1", "2"]


def test_a_wait_raises_when_the_server_goes_and_the_next_one_connects_again(
    own_redis_server: RedisServer, connect: Open
) -> None:
    broker = broker_of(connect(own_redis_server.url))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, broker, wait=60.0)
        time.sleep(0.3)
        own_redis_server.kill()
        with pytest.raises(BrokerUnavailable):
            waiting.result(DEADLINE)
        with pytest.raises(BrokerUnavailable):
            receive(broker, wait=60.0)
        own_redis_server.start()
        waiting = threads.submit(receive, broker, wait=60.0)
        time.sleep(0.1)
        broker.send([outgoing(1)])
        assert ids(waiting.result(DEADLINE)) == ["1"]


def test_a_frozen_server_ends_every_call_in_bounded_time(
    own_redis_server: RedisServer, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_ROUND", 0.5)
    monkeypatch.setattr(bell, "_LATE", 0.5)
    broker = broker_of(connect(own_redis_server.url, socket_timeout=0.5, connect_timeout=0.5))
    broker.send([outgoing(1)])
    broker.ack(leases(receive(broker)))
    receive(broker, wait=0.01)
    own_redis_server.pause()
    start = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        broker.send([outgoing(1)])
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        receive(broker, wait=60.0)
    assert time.monotonic() - start < 5
    own_redis_server.resume()
    broker.send([outgoing(2)])
    assert "2" in ids(receive(broker))


def test_what_was_held_when_the_server_crashed_is_held_after_it(own_redis_server: RedisServer, connect: Open) -> None:
    broker = broker_of(connect(own_redis_server.url))
    broker.send([outgoing(n) for n in range(3)])
    held = receive(broker, limit=2)
    own_redis_server.kill()
    own_redis_server.start()
    assert broker.ack(leases(held)[:1]) == []
    stats = broker.stats(["q"])["q"]
    assert (stats.ready, stats.leased) == (1, 1)


def test_a_full_server_refuses_messages_but_gives_and_takes_back(start: Start, connect: Open) -> None:
    server = start(lambda: RedisServer(options={"maxmemory-policy": "noeviction"}))
    store = connect(server.url)
    broker = broker_of(store)
    assert store.results is not None
    broker.upkeep(limit=1)
    broker.send([outgoing(n) for n in range(4)])
    with server.client() as outside:
        outside.config_set("maxmemory", "1")
        with pytest.raises(BrokerError, match="raise maxmemory") as refused:
            broker.send([outgoing(9)])
        assert not isinstance(refused.value, BrokerUnavailable)
        with pytest.raises(BackendError, match="raise maxmemory"):
            store.results.store([DONE])
        held = receive(broker)
        assert len(held) == 4
        assert broker.extend(leases(held), lease=30.0) == []
        assert broker.ack(leases(held)[:1]) == []
        assert broker.requeue(leases(held)[1:2]) == []
        assert broker.requeue(leases(held)[2:3], delay=60.0) == []
        assert broker.reject(leases(held)[3:], reason="no") == []
        assert store.dead_letters is not None
        (letter,) = store.dead_letters.page("q", limit=10)
        assert store.dead_letters.requeue([letter.id]) == []
        (again,) = receive(broker, limit=1)
        assert broker.reject([again.lease], reason="no") == []
        outside.config_set("maxmemory", "0")
    stats = broker.stats(["q"])["q"]
    assert (stats.ready, stats.delayed, stats.leased, stats.dead) == (1, 1, 0, 1)


def test_part_of_a_batch_that_was_refused_is_named(start: Start, connect: Open) -> None:
    server = start(RedisServer)
    broker = broker_of(connect(server.url))
    with server.client() as outside:
        outside.set("b", "not a list")
    with pytest.raises(SendIncomplete, match="global_keyprefix") as sending:
        broker.send([outgoing(1), outgoing(2, queue="b"), outgoing(3), outgoing(4, queue="b")])
    assert sending.value.unsent == (1, 3)
    assert ids(receive(broker)) == ["1", "3"]


def test_a_replica_is_named_as_the_reason(start: Start, connect: Open) -> None:
    server = start(RedisServer)
    with server.client() as outside:
        outside.replicaof("127.0.0.1", "1")
        with pytest.raises(BrokerUnavailable, match="read-only replica"):
            broker_of(connect(server.url)).send([outgoing()])


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("redis://127.0.0.1:{port}/0", "wants a password"),
        ("redis://app:wrong@127.0.0.1:{port}/0", "refused user name and password"),
    ],
)
def test_a_server_that_knows_nobody_of_that_name_says_so(start: Start, connect: Open, url: str, advice: str) -> None:
    server = start(lambda: RedisServer(user="app", password="secret"))
    with pytest.raises(BrokerError, match=advice) as refused:
        broker_of(connect(url.format(port=server.port))).connect()
    assert not isinstance(refused.value, BrokerUnavailable)
    assert "wrong" not in str(refused.value).lower().replace("wrongpass", "")


def test_a_forbidden_command_says_what_to_grant(start: Start, connect: Open) -> None:
    server = start(lambda: RedisServer(user="app", password="secret"))
    with server.client() as outside:
        outside.acl_setuser(
            "low", enabled=True, passwords=["+pw"], categories=["+@all"], commands=["-evalsha"], keys="*"
        )
    with pytest.raises(BrokerError, match=r"docs/drivers/redis\.md"):
        broker_of(connect(f"redis://low:pw@127.0.0.1:{server.port}/0")).send([outgoing()])


def test_a_command_that_is_forbidden_inside_a_script_says_what_to_grant(start: Start, connect: Open) -> None:
    server = start(lambda: RedisServer(user="app", password="secret"))
    with server.client() as outside:
        outside.acl_setuser("low", enabled=True, passwords=["+pw"], categories=["+@all"], commands=["-lpush"], keys="*")
    with pytest.raises(BrokerError, match=r"docs/drivers/redis\.md"):
        broker_of(connect(f"redis://low:pw@127.0.0.1:{server.port}/0")).send([outgoing()])


def test_a_server_that_takes_no_more_clients_says_so(own_redis_server: RedisServer, connect: Open) -> None:
    with own_redis_server.client() as outside:
        outside.config_set("maxclients", "1")
        for _ in range(10):
            with pytest.raises(BrokerUnavailable, match="raise its maxclients"):
                broker_of(connect(own_redis_server.url)).send([outgoing()])
        outside.config_set("maxclients", "1000")


def test_scripts_are_taught_again_to_a_server_that_forgot_them(start: Start, connect: Open) -> None:
    server = start(RedisServer)
    broker = broker_of(connect(server.url))
    broker.send([outgoing(1)])
    with server.client() as outside:
        outside.script_flush()
        broker.send([outgoing(n, priority=n) for n in range(2, 9)])
        outside.script_flush()
        assert len(receive(broker, wait=1.0)) == 8
        outside.script_flush()
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(receive, broker, wait=60.0)
            time.sleep(0.2)
            outside.script_flush()
            broker.send([outgoing(9)])
            assert ids(waiting.result(DEADLINE)) == ["9"]
