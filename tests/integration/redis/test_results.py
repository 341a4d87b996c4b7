"""Results beside stock Celery's, and waiting for many of them at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.waiting import wait_for
from tests.faults.proxy import Proxy
from tests.integration.redis.samples import DEADLINE
from tests.servers.redis import RedisServer

Open = Callable[..., Store]


@pytest.fixture
def results(store: Store) -> ResultBackend:
    assert store.results is not None
    return store.results


def record(task_id: str, state: str = "SUCCESS", ttl: float | None = 60.0) -> ResultRecord:
    return ResultRecord(task_id, state, f'{{"status":"{state}","result":1}}'.encode(), ttl)


def test_results_lie_where_celery_looks_for_them(results: ResultBackend, outside: Redis, prefix: str) -> None:
    results.store([record("t1", ttl=100.0), record("t2", ttl=None)])
    assert outside.get(f"{prefix}celery-task-meta-t1") == b'{"status":"SUCCESS","result":1}'
    assert 90 < outside.ttl(f"{prefix}celery-task-meta-t1") <= 100
    assert outside.ttl(f"{prefix}celery-task-meta-t2") == -1


def test_a_read_whose_connection_breaks_is_made_again(
    results: ResultBackend, connect: Open, proxy: Proxy, prefix: str
) -> None:
    far = connect(proxy.url, transport_options={"global_keyprefix": prefix}).results
    assert far is not None
    results.store([record("t1")])
    assert list(far.fetch(["t1"])) == ["t1"]
    proxy.delay, proxy.loses_answer_to = 0.2, b"MGET"
    threading.Timer(0.3, setattr, (proxy, "loses_answer_to", None)).start()  # when the first was sent
    assert list(far.fetch(["t1"])) == ["t1"]


@pytest.mark.parametrize(
    "case",
    [
        (b'{"status": "SUCCESS", "result": null}', "FAILURE", False),
        (b'{"status": "FAILURE", "result": null}', "STARTED", False),
        (b'{"status": "FAILURE", "result": null}', "SUCCESS", True),
        (b'{"result": "status", "x": 1, "status": "STARTED"}', "RETRY", True),
        (b"\x80\x05\x95\x8c\x06status\x94\x8c\x07SUCCESS\x94", "FAILURE", False),  # pickle
        (b"\x82\xa6status\xa7STARTED", "PROGRESS", True),  # msgpack
        (b"\x00celery-compressed\x00application/x-gzip\x00\x1f\x8b", "STARTED", False),
        (b"\x00celery-compressed\x00application/x-gzip\x00\x1f\x8b", "SUCCESS", True),
    ],
)
def test_what_stock_workers_stored_is_replaced_by_the_same_rule(
    results: ResultBackend, outside: Redis, prefix: str, case: tuple[bytes, str, bool]
) -> None:
    old, new, is_replaced = case
    outside.set(f"{prefix}celery-task-meta-t1", old)
    results.store([record("t1", new)])
    assert (outside.get(f"{prefix}celery-task-meta-t1") != old) == is_replaced


def test_a_result_that_stock_celery_stores_ends_a_wait(results: ResultBackend, outside: Redis, prefix: str) -> None:
    key, payload = f"{prefix}celery-task-meta-t1", b'{"status": "SUCCESS", "result": 2}'
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_for, results, ["t1"], timeout=60.0)
        wait_until(lambda: outside.pubsub_numsub(key)[0][1] == 1)
        outside.set(key, payload)
        outside.publish(key, payload)
        assert waiting.result(DEADLINE) == {"t1": payload}


def test_many_who_wait_share_one_connection(
    redis_server: RedisServer, connect: Open, outside: Redis, prefix: str
) -> None:
    options = {"global_keyprefix": prefix, "client_name": prefix}
    results = connect(redis_server.url, transport_options=options).results
    assert results is not None
    found: dict[str, bytes] = {}

    def wait(name: str) -> None:
        found.update(wait_for(results, [name], timeout=60.0))

    threads = [threading.Thread(target=wait, args=(f"t{n}",)) for n in range(200)]
    for thread in threads:
        thread.start()
    wait_until(lambda: outside.pubsub_numsub(f"{prefix}celery-task-meta-t199")[0][1] == 1)
    listening = [one for one in outside.client_list() if one["name"] == prefix and int(one["sub"])]
    assert len(listening) == 1
    for n in range(200):
        results.store([record(f"t{n}")])
    for thread in threads:
        thread.join(DEADLINE)
    assert len(found) == 200


def test_a_wait_outlives_a_restart_of_the_server(own_redis_server: RedisServer, connect: Open) -> None:
    results = connect(own_redis_server.url).results
    other = connect(own_redis_server.url).results
    assert results is not None
    assert other is not None
    with own_redis_server.client() as outside, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait_for, results, ["t1"], timeout=60.0)
        wait_until(lambda: outside.pubsub_numsub("celery-task-meta-t1")[0][1] == 1)
        outside.client_kill_filter(_type="pubsub")
        other.store([record("t1")])
        assert list(waiting.result(DEADLINE)) == ["t1"]


def test_all_who_wait_hear_that_the_server_is_gone(own_redis_server: RedisServer, connect: Open) -> None:
    results = connect(own_redis_server.url).results
    assert results is not None
    with own_redis_server.client() as outside, ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(wait_for, results, [f"t{n}"], timeout=60.0) for n in range(3)]
        wait_until(lambda: len(outside.pubsub_channels()) == 3)
        own_redis_server.kill()
        for one in waiting:
            with pytest.raises(BackendError):
                one.result(DEADLINE)


def test_a_group_is_waited_for_in_parts(results: ResultBackend) -> None:
    names = [f"t{n}" for n in range(300)]
    storing = threading.Thread(target=lambda: [results.store([record(name)]) for name in names])
    storing.start()
    left, deadline = set(names), time.monotonic() + DEADLINE
    while left and time.monotonic() < deadline:
        left -= wait_for(results, sorted(left), timeout=5.0).keys()
    storing.join(DEADLINE)
    assert not left


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
