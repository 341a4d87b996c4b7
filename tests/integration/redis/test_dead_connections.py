"""Connections that lead nowhere without a word, and answers that never came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from celeriac import Celeriac
from celeriac.drivers.redis import bell, connecting
from celeriac.exceptions import BackendError, BrokerUnavailable
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.store import Store
from tests.faults.proxy import Proxy
from tests.integration.redis.samples import DEADLINE, broker_of, ids, outgoing, raw_of, receive
from tests.servers.redis import RedisServer

Open = Callable[..., Store]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, connect: Open, prefix: str) -> Broker:
    """A broker that reaches its server through the proxy, and waits half a second for an answer."""
    options = {"global_keyprefix": prefix}
    return broker_of(connect(proxy.url, socket_timeout=0.5, connect_timeout=0.5, transport_options=options))


@pytest.fixture
def near(store: Store) -> Broker:
    """A broker on the same namespace that reaches it directly."""
    return broker_of(store)


def test_what_one_call_finds_dead_no_other_tries_again(near: Broker, far: Broker, proxy: Proxy) -> None:
    assert receive(far, wait=0.01) == []  # a bell of its own
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: far.send([outgoing(n)]), range(100)))  # and several idle connections
    near.purge("q")
    proxy.half_open()
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        receive(far)
    for n in range(10):
        far.send([outgoing(n)])
    assert len(receive(far)) == 10
    assert receive(far, wait=0.01) == []
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(receive, far, wait=60.0)
        near.send([outgoing("new")])
        assert ids(waiting.result(DEADLINE)) == ["new"]


def test_a_wait_that_finds_its_connection_dead_leaves_the_others_too(
    far: Broker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_ROUND", 0.3)
    monkeypatch.setattr(bell, "_LATE", 0.3)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: far.stats([f"q{n}"]), range(100)))
    assert receive(far, wait=0.01) == []
    proxy.half_open()
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        receive(far, wait=60.0)
    far.send([outgoing(1)])
    assert ids(receive(far, wait=60.0)) == ["1"]


def test_a_new_connection_that_is_not_greeted_is_given_up_before_a_call_would_be(
    proxy: Proxy, connect: Open, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_GREETING", 0.3)
    broker = broker_of(connect(proxy.url, socket_timeout=60.0, transport_options={"global_keyprefix": prefix}))
    proxy.is_black_hole = True
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        broker.send([outgoing(1)])
    proxy.is_black_hole = False
    broker.send([outgoing(2)])
    proxy.delay = 0.4  # longer than a greeting may take: an answer may
    broker.send([outgoing(3)])
    proxy.delay = 0.0
    assert ids(receive(broker)) == ["2", "3"]


def test_broker_and_results_at_one_address_leave_their_dead_connections_together(proxy: Proxy, prefix: str) -> None:
    options = {"global_keyprefix": prefix}
    app = Celeriac(
        "shop", broker=proxy.url, backend=proxy.url, set_as_current=False, broker_publish_timeout=0.5,
        broker_transport_options=options, result_backend_transport_options=options,
    )  # fmt: skip
    assert app.results is not None
    try:
        app.broker.connect()
        app.results.connect()
        proxy.half_open()
        with pytest.raises(BackendError, match="no answer in time"):
            app.results.connect()
        app.broker.connect()
    finally:
        app.close()


def test_who_watches_leaves_a_dead_connection_when_another_call_finds_one(
    far: Broker, proxy: Proxy, outside: Redis, prefix: str
) -> None:
    far.watch(["q"], wait=0.05)
    far.connect()
    proxy.half_open()
    with pytest.raises(BrokerUnavailable, match="no answer in time"):
        far.connect()
    outside.lpush(f"{prefix}q", raw_of(1))
    far.watch(["q"], wait=0.05)
    assert outside.exists(f"{prefix}celeriac:bell:q") == 1
