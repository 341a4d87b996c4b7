"""Waiting without polling, woken by whoever pushes, one engine for each message."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from redis import Redis

from celeriac.interfaces.broker import Delivery, Terms
from celeriac.interfaces.store import Store
from tests.integration.redis.samples import DEADLINE, broker_of, ids, leases, outgoing, raw_of, receive
from tests.servers.redis import RedisServer

Open = Callable[..., Store]
LONG = 60.0


def test_a_push_of_a_stock_producer_ends_a_wait(store: Store, outside: Redis, prefix: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        received = threads.submit(lambda: receive(broker_of(store), wait=LONG))
        wait_until(lambda: is_blocked(outside))
        start = time.monotonic()
        outside.lpush(f"{prefix}q", raw_of(1))
        assert ids(received.result(DEADLINE)) == ["1"]
        assert time.monotonic() - start < 4  # less than a round, after which it would have looked anyway


def test_a_push_on_another_priority_list_ends_a_wait(store: Store, outside: Redis, prefix: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        received = threads.submit(lambda: receive(broker_of(store), "a", "q", wait=LONG))
        wait_until(lambda: is_blocked(outside))
        outside.lpush(f"{prefix}q\x06\x166", raw_of(1))
        assert ids(received.result(DEADLINE)) == ["1"]


def test_one_who_watches_wakes_engines_that_rely_on_it(
    store: Store, connect: Open, redis_server: RedisServer, outside: Redis, prefix: str
) -> None:
    watcher = broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix}))
    broker_of(store).rely_on_watch()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            watcher.watch(["q"], wait=0.1)

    with ThreadPoolExecutor(2) as threads:
        watching = threads.submit(watch)
        received = threads.submit(lambda: receive(broker_of(store), wait=LONG))
        try:
            wait_until(lambda: is_blocked(outside))
            start = time.monotonic()
            outside.lpush(f"{prefix}q", raw_of(1))
            assert ids(received.result(DEADLINE)) == ["1"]
            assert time.monotonic() - start < 4  # less than a round, after which it would have looked anyway
        finally:
            ended.set()
        watching.result(DEADLINE)


def test_one_who_watches_is_told_of_delayed_messages_also_when_it_has_not_seen_that_there_were_none(
    store: Store, connect: Open, redis_server: RedisServer, outside: Redis, prefix: str
) -> None:
    watcher = broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix}))
    broker_of(store).upkeep(limit=1)
    for number in (1, 2, 3):
        broker_of(store).send([outgoing(number, after=time.time() + 60)])
        assert watcher.watch(["q"], wait=LONG)
        outside.delete(f"{prefix}celeriac:delayed", f"{prefix}celeriac:delayed:q")


def test_one_who_watches_is_told_when_messages_are_delayed_and_none_were_before(
    store: Store, connect: Open, redis_server: RedisServer, prefix: str
) -> None:
    watcher = broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix}))
    broker_of(store).upkeep(limit=1)  # without a node of ours nothing is delayed
    assert not watcher.watch(["q"], wait=0.1)
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(lambda: watcher.watch(["q"], wait=LONG))
        broker_of(store).send([outgoing(1, after=time.time() + 60)])
        assert told.result(DEADLINE) is True
    assert not watcher.watch(["q"], wait=0.1)


def test_an_idle_claim_and_an_idle_upkeep_are_one_command_each(store: Store, outside: Redis) -> None:
    broker_of(store).upkeep(limit=1)
    receive(broker_of(store), wait=0)
    outside.config_resetstat()
    broker_of(store).upkeep(limit=1)
    receive(broker_of(store), wait=0)
    stats = outside.info("commandstats")
    assert (stats["cmdstat_exists"]["calls"], stats["cmdstat_evalsha"]["calls"]) == (2, 1)
    assert {name for name in stats if not name.startswith(("cmdstat_config", "cmdstat_info"))} == {
        "cmdstat_exists", "cmdstat_evalsha",
    }  # fmt: skip


def test_an_idle_look_at_the_queues_asks_no_list_for_its_length(store: Store, outside: Redis) -> None:
    outside.config_resetstat()
    broker_of(store).watch(["a", "b", "c"], wait=0.1)
    stats = outside.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_llen" not in stats


def test_thousands_of_queues_are_claimed_from_and_watched(store: Store, outside: Redis, prefix: str) -> None:
    names = [f"q{n}" for n in range(4000)]
    broker = broker_of(store)
    broker.send([outgoing(1, queue="q3999")])
    assert ids(receive(broker, *names)) == ["1"]
    assert receive(broker, *names) == []
    outside.lpush(f"{prefix}q3998", raw_of(2))
    broker.watch(names, wait=0.1)
    assert outside.exists(f"{prefix}celeriac:bell:q3998") == 1


def test_an_engine_that_relies_on_another_finds_a_strange_message_all_the_same(
    store: Store, outside: Redis, prefix: str
) -> None:
    broker_of(store).rely_on_watch()
    with ThreadPoolExecutor(1) as threads:
        received = threads.submit(lambda: receive(broker_of(store), wait=LONG))
        wait_until(lambda: is_blocked(outside))
        outside.lpush(f"{prefix}q", raw_of(1))
        assert ids(received.result(DEADLINE)) == ["1"]


def test_a_server_that_tells_of_no_changes_is_looked_at_instead(
    start: Callable[[Callable[[], RedisServer]], RedisServer], connect: Open
) -> None:
    server = start(lambda: RedisServer(user="app", password="secret"))
    with server.client() as outside:
        outside.acl_setuser(
            "app",
            enabled=True,
            passwords=["+secret"],
            categories=["+@all"],
            commands=["-client", "+client|setname", "-hello"],
            keys="*",
            channels="*",
        )
        broker = broker_of(connect(server.url))
        with ThreadPoolExecutor(1) as threads:
            received = threads.submit(lambda: receive(broker, wait=LONG))
            time.sleep(0.3)
            outside.lpush("q", raw_of(1))
            assert ids(received.result(DEADLINE)) == ["1"]


def test_each_message_wakes_one_of_many_engines(
    redis_server: RedisServer, connect: Open, prefix: str, outside: Redis
) -> None:
    brokers = [broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix})) for _ in range(4)]
    sender = broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix}))
    woken: list[list[Delivery]] = []

    def engine(broker) -> None:
        woken.append(receive(broker, wait=LONG))

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(engine, broker) for broker in brokers]
        wait_until(lambda: blocked(outside) >= 4)
        sender.send([outgoing(1)])
        wait_until(lambda: len(woken) == 1)
        time.sleep(0.1)
        assert [ids(one) for one in woken] == [["1"]]
        for broker in brokers:
            broker.interrupt()
        for one in running:
            one.result(DEADLINE)
    assert sum(len(one) for one in woken) == 1


def test_a_batch_wakes_as_many_engines_as_it_has_messages(
    redis_server: RedisServer, connect: Open, prefix: str, outside: Redis
) -> None:
    options = {"global_keyprefix": prefix}
    brokers = [broker_of(connect(redis_server.url, transport_options=options)) for _ in range(3)]
    sender = broker_of(connect(redis_server.url, transport_options=options))
    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(receive, broker, limit=1, wait=LONG) for broker in brokers]
        wait_until(lambda: blocked(outside) >= 3)
        sender.send([outgoing(n) for n in range(3)])
        assert sorted(ids([d for one in running for d in one.result(DEADLINE)])) == ["0", "1", "2"]


def test_an_interrupted_wait_holds_nothing_that_it_does_not_return(store: Store, outside: Redis, prefix: str) -> None:
    broker = broker_of(store)
    for n in range(20):
        with ThreadPoolExecutor(1) as threads:
            received = threads.submit(receive, broker, wait=LONG)
            sending = threading.Thread(target=lambda number=n: broker.send([outgoing(number)]))
            sending.start()
            broker.interrupt()
            found = received.result(DEADLINE)
            sending.join(DEADLINE)
        found += receive(broker)
        assert ids(found) == [str(n)]
        broker.ack(leases(found))
    assert outside.hlen(f"{prefix}unacked") == 0


def test_an_interruption_ends_the_waits_of_all_threads_of_a_client(store: Store, outside: Redis) -> None:
    broker = broker_of(store)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(receive, broker, wait=LONG) for _ in range(3)]
        wait_until(lambda: blocked(outside) >= 3)
        broker.interrupt()
        start = time.monotonic()
        assert [one.result(DEADLINE) for one in waiting] == [[], [], []]
        assert time.monotonic() - start < 4  # less than a round


def test_a_client_without_queues_waits_until_it_is_interrupted(store: Store) -> None:
    broker = broker_of(store)
    assert list(broker.receive([], Terms(limit=1, lease=30.0, owner="engine"), wait=0.05)) == []
    threading.Timer(0.1, broker.interrupt).start()
    assert list(broker.receive([], Terms(limit=1, lease=30.0, owner="engine"), wait=LONG)) == []


def test_closing_ends_a_wait_and_leaves_no_connection(
    redis_server: RedisServer, connect: Open, prefix: str, outside: Redis
) -> None:
    broker = broker_of(connect(redis_server.url, transport_options={"global_keyprefix": prefix, "client_name": prefix}))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, broker, wait=LONG)
        wait_until(lambda: is_blocked(outside))
        broker.close()
        assert waiting.result(DEADLINE) == []
    wait_until(lambda: all(one["name"] != prefix for one in outside.client_list()))


def test_a_signal_handler_may_interrupt_the_wait_of_its_own_thread(store: Store, outside: Redis) -> None:
    broker = broker_of(store)
    previous = signal.signal(signal.SIGUSR1, lambda *_: broker.interrupt())
    try:
        main = threading.main_thread().ident
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGUSR1]).start()
        start = time.monotonic()
        assert receive(broker, wait=LONG) == []
        assert time.monotonic() - start < 4  # less than a round, which would end the wait as well
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_an_idle_engine_asks_the_server_less_than_once_a_second(store: Store, outside: Redis) -> None:
    broker = broker_of(store)
    receive(broker, wait=0.1)
    before = top_level(outside)
    receive(broker, wait=4.0)
    assert top_level(outside) - before <= 4


def top_level(outside: Redis) -> int:
    stats = outside.info("commandstats")
    return sum(
        stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("blpop", "evalsha", "eval", "client|unblock")
    )


def is_blocked(outside: Redis) -> bool:
    return blocked(outside) > 0


def blocked(outside: Redis) -> int:
    return int(outside.info("clients")["blocked_clients"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
