"""Ways to a server: TLS, users, sockets, Sentinel; and what a fork inherits of them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from celeriac.exceptions import BrokerUnavailable
from celeriac.interfaces.pubsub import Channel
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.waiting import wait_for
from celeriac.routing import QueueSpec
from tests.integration.redis.samples import DEADLINE, broker_of, ids, leases, outgoing, receive
from tests.servers.missing import or_skip
from tests.servers.redis import RedisServer, Sentinels

Open = Callable[..., Store]
Start = Callable[[Callable[[], RedisServer]], RedisServer]


@pytest.fixture
def tls_server(start: Start) -> RedisServer:
    return start(lambda: RedisServer(tls=True))


def goes_and_comes(broker) -> None:
    """Check a wait and a round trip over this connection."""
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, broker, wait=60.0)
        time.sleep(0.1)
        broker.send([outgoing(n) for n in range(3)])
        found = waiting.result(DEADLINE)
    found += receive(broker)
    assert ids(found) == ["0", "1", "2"]
    assert broker.ack(leases(found)) == []


@pytest.mark.parametrize("form", ["url", "settings", "settings without prefix"])
def test_tls_with_a_known_ca(tls_server: RedisServer, connect: Open, form: str) -> None:
    ca = str(tls_server.ca_file)
    if form == "url":
        goes_and_comes(broker_of(connect(f"{tls_server.url}?ssl_ca_certs={ca}&ssl_cert_reqs=CERT_REQUIRED")))
    elif form == "settings":
        goes_and_comes(broker_of(connect(tls_server.url, tls={"ssl_ca_certs": ca, "ssl_cert_reqs": "required"})))
    else:
        goes_and_comes(broker_of(connect(tls_server.url.replace("rediss:", "redis:"), tls={"ca_certs": ca})))


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_server: RedisServer, connect: Open) -> None:
    with pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        broker_of(connect(tls_server.url)).connect()


def test_verification_can_be_switched_off(tls_server: RedisServer, connect: Open) -> None:
    broker_of(connect(f"{tls_server.url}?ssl_cert_reqs=none")).connect()


def test_results_are_waited_for_over_tls(tls_server: RedisServer, connect: Open) -> None:
    results = connect(tls_server.url, tls={"ssl_ca_certs": str(tls_server.ca_file)}).results
    assert results is not None
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_for, results, ["t1"], timeout=60.0)
        time.sleep(0.1)
        results.store([ResultRecord("t1", "SUCCESS", b'{"status":"SUCCESS"}', 60.0)])
        assert list(waiting.result(DEADLINE)) == ["t1"]


def test_an_acl_user_with_a_password_full_of_signs(start: Start, connect: Open) -> None:
    server = start(lambda: RedisServer(user="app", password="p@ss:w/rd"))
    goes_and_comes(broker_of(connect(f"redis://app:p%40ss%3Aw%2Frd@127.0.0.1:{server.port}/3")))


def test_the_permissions_that_the_manual_lists_are_enough(start: Start, connect: Open) -> None:
    manual = (Path(__file__).parents[3] / "docs/drivers/redis.md").read_text()
    (granted,) = re.findall(r"An ACL user needs `([^`]+)`", manual)
    server = start(lambda: RedisServer(user="app", password="secret"))
    with server.client() as outside:
        outside.execute_command("ACL", "SETUSER", "low", "on", ">pw", "~p:*", "&*", *granted.split())
    store = connect(f"redis://low:pw@127.0.0.1:{server.port}/0", transport_options={"global_keyprefix": "p:"})
    broker = broker_of(store)
    assert store.pubsub is not None
    assert store.results is not None
    broker.declare([QueueSpec("q")])
    broker.upkeep(limit=10)
    goes_and_comes(broker)
    assert broker.queues() == ["q"]
    broker.purge("q")
    store.pubsub.subscribe([Channel("celeryev", "topic", "#"), Channel("replies", "direct", "me")]).close()
    store.results.store([ResultRecord("t1", "SUCCESS", b'{"status":"SUCCESS"}', 60.0)])
    assert list(wait_for(store.results, ["t1"], timeout=60.0)) == ["t1"]


def test_a_default_user_with_a_password(start: Start, connect: Open) -> None:
    server = start(lambda: RedisServer(password="secret"))
    goes_and_comes(broker_of(connect(f"redis://:secret@127.0.0.1:{server.port}/3")))


def test_a_unix_socket(redis_server: RedisServer, connect: Open) -> None:
    broker = broker_of(connect(f"redis+socket://{redis_server.socket_path}?virtual_host=7"))
    goes_and_comes(broker)
    assert broker.location == f"redis+socket://{redis_server.socket_path}?virtual_host=7"


def test_the_next_server_of_a_list_stands_in(redis_server: RedisServer, connect: Open) -> None:
    goes_and_comes(broker_of(connect(f"redis://127.0.0.1:1/8;redis://127.0.0.1:{redis_server.port}/8")))


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    started = or_skip(Sentinels, "redis")
    with started:
        yield started


@pytest.mark.timeout(60)
def test_sentinel_leads_to_the_primary_and_after_a_failover_to_the_next(sentinels: Sentinels, connect: Open) -> None:
    broker = broker_of(connect(sentinels.url, transport_options={"master_name": sentinels.name}))
    goes_and_comes(broker)
    sentinels.primary.kill()
    deadline = time.monotonic() + 30
    while True:
        try:
            broker.send([outgoing(1)])
            break
        except BrokerUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert ids(receive(broker)) == ["1"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_parent_and_child_of_a_fork_share_no_connection(store: Store) -> None:
    broker = broker_of(store)
    broker.send([outgoing("before")])
    receive(broker, "nothing", wait=0.01)
    child = os.fork()
    if child == 0:
        try:
            receive(broker, "nothing", wait=0.01)
            broker.send([outgoing(n) for n in range(50)])
            os._exit(0)
        except BaseException:
            os._exit(1)
    for n in range(50):
        broker.send([outgoing(f"parent {n}")])
    assert os.waitpid(child, 0)[1] == 0
    held = receive(broker, limit=200)
    assert len(held) == 101
    assert len({one.lease.tag for one in held}) == 101


def test_a_pool_keeps_only_a_few_connections(redis_server: RedisServer, connect: Open, prefix: str) -> None:
    options = {"global_keyprefix": prefix, "max_connections": 2, "client_name": prefix}
    broker = broker_of(connect(redis_server.url, transport_options=options))
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: broker.send([outgoing(n)]), range(200)))
    assert broker.stats(["q"])["q"].ready == 200
    with redis_server.client() as outside:
        deadline = time.monotonic() + DEADLINE
        while sum(one["name"] == prefix for one in outside.client_list()) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
