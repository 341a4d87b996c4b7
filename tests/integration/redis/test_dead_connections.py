"""Connections that lead nowhere without a word, and answers that never came."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from celeriac import Celeriac
from celeriac.drivers.redis import bell, connecting, ear, subscription
from celeriac.exceptions import BackendError, BrokerError, BrokerUnavailable
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.pubsub import Channel, Post
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.waiting import wait_for
from celeriac.wire.message import Message
from tests.faults.proxy import Proxy
from tests.integration.redis.samples import DEADLINE, broker_of, ids, outgoing, raw_of, receive

Open = Callable[..., Store]


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


# -- waiting for results -----------------------------------------------------------------------------------------------


@pytest.fixture
def far_results(proxy: Proxy, connect: Open, prefix: str) -> ResultBackend:
    options = {"global_keyprefix": prefix}
    store = connect(proxy.url, socket_timeout=0.5, connect_timeout=0.5, transport_options=options)
    assert store.results is not None
    return store.results


def end(store: Store, *ids: str) -> None:
    assert store.results is not None
    store.results.store([ResultRecord(task_id, "SUCCESS", b'{"status":"SUCCESS"}', 60.0) for task_id in ids])


def test_those_who_wait_find_a_dead_connection_that_is_silent(
    far_results: ResultBackend, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_SILENCE", 0.3)
    monkeypatch.setattr(ear, "_PATIENCE", 0.3)
    with ThreadPoolExecutor(20) as threads:
        waiting = [threads.submit(wait_for, far_results, [f"t{n}"], timeout=60.0) for n in range(20)]
        assert wait_for(far_results, ["none"], timeout=0.1) == {}
        proxy.half_open()
        end(store, *(f"t{n}" for n in range(20)))
        assert [set(one.result(DEADLINE)) for one in waiting] == [{f"t{n}"} for n in range(20)]


def test_a_look_that_is_not_answered_shows_a_dead_connection(
    far_results: ResultBackend, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_SILENCE", 60.0)
    monkeypatch.setattr(ear, "_PATIENCE", 0.3)
    assert wait_for(far_results, ["none"], timeout=0.1) == {}
    proxy.half_open()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_for, far_results, ["t1", "t2"], timeout=60.0)
        end(store, "t1")
        assert set(waiting.result(DEADLINE)) == {"t1"}


def test_those_who_wait_leave_a_dead_connection_when_another_call_finds_one(
    far_results: ResultBackend, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_SILENCE", 60.0)
    monkeypatch.setattr(ear, "_PATIENCE", 60.0)
    far_results.connect()
    assert wait_for(far_results, ["none"], timeout=0.1) == {}
    proxy.half_open()
    with pytest.raises(BackendError, match="no answer in time"):
        far_results.connect()
    end(store, "t1")
    assert set(wait_for(far_results, ["t1", "t2"], timeout=60.0)) == {"t1"}


def test_who_listens_patiently_leaves_a_dead_connection_when_another_call_finds_one(
    proxy: Proxy, connect: Open, store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "_ROUND", 0.1)
    options = {"global_keyprefix": prefix}
    far = connect(proxy.url, socket_timeout=0.5, connect_timeout=0.5, transport_options=options)
    assert far.pubsub is not None
    assert store.pubsub is not None
    channel = Channel("celery.pidbox")
    listening = far.pubsub.subscribe([channel], patience=3600.0)
    broker_of(far).stats(["q"])  # an idle connection, which dies, too
    proxy.half_open()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(listening.get, limit=1, wait=60.0)
        with pytest.raises(BrokerUnavailable):
            broker_of(far).stats(["q"])
        with pytest.raises(BrokerError, match="found the server dead"):
            waiting.result(DEADLINE)
        heard = threads.submit(listening.get, limit=1, wait=DEADLINE)
        while not heard.done():
            store.pubsub.publish([Post(channel, Message({}, b"{}"))])
        assert len(heard.result()) == 1
    listening.close()


@pytest.fixture
def patient_results(proxy: Proxy, connect: Open, prefix: str) -> ResultBackend:
    """Results on a server that may take a minute to answer."""
    store = connect(proxy.url, socket_timeout=60.0, transport_options={"global_keyprefix": prefix})
    assert store.results is not None
    return store.results


def test_who_has_little_time_is_told_soon_that_the_server_gives_no_answer(
    patient_results: ResultBackend, proxy: Proxy
) -> None:
    patient_results.connect()
    proxy.is_black_hole = True
    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(wait_for, patient_results, ["t1"], timeout=0.0)
        with pytest.raises(BackendError, match="no answer in time"):
            looking.result(DEADLINE)
        proxy.is_black_hole = False
    assert wait_for(patient_results, ["t1"], timeout=0.0) == {}


def test_one_greeting_without_an_answer_ends_a_wait(
    patient_results: ResultBackend, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_GREETING", 0.3)
    before = proxy.connections
    proxy.is_black_hole = True
    with pytest.raises(BackendError, match="no answer in time"):
        wait_for(patient_results, ["t1", "t2"], timeout=60.0)
    assert proxy.connections == before + 1
