"""A thousand who wait for results over one connection, and what becomes of them when it is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from redis import Redis

from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.reader import ResultReader
from celeriac.result.waiting import wait_for
from celeriac.wire.content import accepted
from celeriac.wire.results import TaskResult
from tests.integration.redis.samples import DEADLINE
from tests.servers.redis import OldRedisServer, RedisServer

Open = Callable[..., Store]
Start = Callable[[Callable[[], RedisServer]], RedisServer]

MANY = 1000
LONG = 60.0


def reader_of(store: Store) -> ResultReader:
    return ResultReader(lambda: store.results, serializer="json", accept=accepted(["json"]), handle_on=str)


def results_of(store: Store) -> ResultBackend:
    assert store.results is not None
    return store.results


def record(task_id: str) -> ResultRecord:
    payload = f'{{"task_id":"{task_id}","status":"SUCCESS","result":1,"traceback":null,"children":[]}}'
    return ResultRecord(task_id, "SUCCESS", payload.encode(), 60.0)


def store_all(results: ResultBackend, first: int = 0, end: int = MANY) -> None:
    results.store([record(f"t{n}") for n in range(first, end)])


async def begin(reader: ResultReader) -> list[asyncio.Task[TaskResult]]:
    tasks = [asyncio.ensure_future(reader.wait_async(f"t{n}", timeout=LONG)) for n in range(MANY)]
    await asyncio.sleep(0)
    return tasks


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.005)


def run(waiting: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(waiting, DEADLINE))


def test_coroutines_and_threads_that_wait_share_one_connection(
    redis_server: RedisServer, connect: Open, outside: Redis, prefix: str
) -> None:
    options = {"global_keyprefix": prefix, "client_name": prefix}
    store = connect(redis_server.url, transport_options=options)
    reader = reader_of(store)

    async def wait(threads: ThreadPoolExecutor) -> None:
        answers = await begin(reader)
        loop = asyncio.get_running_loop()
        blocked = [loop.run_in_executor(threads, partial(reader.wait, f"thread-{n}", timeout=LONG)) for n in range(50)]
        await until(lambda: len(outside.pubsub_channels(f"{prefix}*")) == MANY + 50)
        assert sum(one["name"] == prefix for one in outside.client_list()) == 1
        await asyncio.to_thread(store_all, results_of(store))
        await asyncio.to_thread(results_of(store).store, [record(f"thread-{n}") for n in range(50)])
        assert [(await answer).task_id for answer in answers] == [f"t{n}" for n in range(MANY)]
        assert [(await answer).task_id for answer in blocked] == [f"thread-{n}" for n in range(50)]

    with ThreadPoolExecutor(50) as threads:
        run(wait(threads))


def test_what_is_waited_for_no_more_is_soon_unsubscribed(store: Store, outside: Redis, prefix: str) -> None:
    def subscribed() -> set[str]:
        return {
            name.decode().removeprefix(f"{prefix}celery-task-meta-") for name in outside.pubsub_channels(f"{prefix}*")
        }

    with closing(results_of(store).listen([f"t{n}" for n in range(MANY)])) as listener:
        deadline = time.monotonic() + DEADLINE
        while len(subscribed()) < MANY:  # a busy machine may take longer than one wait to connect
            assert time.monotonic() < deadline
            listener.get(timeout=0.1)
        listener.discard([f"t{n}" for n in range(MANY - 1)])
        while len(subscribed()) > 1:
            assert time.monotonic() < deadline
            listener.get(timeout=0.1)
        assert subscribed() == {f"t{MANY - 1}"}


def test_a_thousand_coroutines_outlive_lost_connections(own_redis_server: RedisServer, connect: Open) -> None:
    store, other = connect(own_redis_server.url), results_of(connect(own_redis_server.url))

    async def wait(outside: Redis) -> None:
        answers = await begin(reader_of(store))
        for first in range(0, 500, 100):
            await until(lambda left=MANY - first: len(outside.pubsub_channels()) >= left)
            await asyncio.to_thread(outside.client_kill_filter, _type="pubsub")
            await asyncio.to_thread(store_all, other, first, first + 100)
        assert [(await answer).task_id for answer in answers[:500]] == [f"t{n}" for n in range(500)]
        await asyncio.to_thread(store_all, other, 500)
        assert [(await answer).task_id for answer in answers[500:]] == [f"t{n}" for n in range(500, MANY)]

    with own_redis_server.client() as outside:
        run(wait(outside))


def test_a_thousand_coroutines_hear_that_the_server_is_gone(own_redis_server: RedisServer, connect: Open) -> None:
    store = connect(own_redis_server.url)
    reader = reader_of(store)

    async def wait(outside: Redis) -> None:
        answers = await begin(reader)
        await until(lambda: len(outside.pubsub_channels()) == MANY)
        await asyncio.to_thread(own_redis_server.kill)
        errors = await asyncio.gather(*answers, return_exceptions=True)
        assert all(isinstance(error, BackendError) for error in errors)
        await asyncio.to_thread(own_redis_server.start)
        answers = await begin(reader)
        await asyncio.to_thread(store_all, results_of(store))
        assert [(await answer).task_id for answer in answers] == [f"t{n}" for n in range(MANY)]

    with own_redis_server.client() as outside:
        run(wait(outside))


@pytest.fixture
def plain_store(start: Start, connect: Open) -> Iterator[Store]:
    """A store on a server that speaks no RESP3."""
    server = start(OldRedisServer)
    with server.client() as outside:
        yield connect(server.url, client_name="plain")
        assert {one["resp"] for one in outside.client_list() if one["name"] == "plain"} == {"2"}


def test_without_resp3_coroutines_are_told_of_what_was_there_and_of_what_comes(plain_store: Store) -> None:
    results, reader = results_of(plain_store), reader_of(plain_store)

    async def wait() -> None:
        await asyncio.to_thread(store_all, results, 0, 300)
        answers = await begin(reader)
        for answer in answers[:300]:
            await answer
        await asyncio.to_thread(store_all, results, 300)
        assert [(await answer).task_id for answer in answers] == [f"t{n}" for n in range(MANY)]

    run(wait())


def test_without_resp3_threads_are_told_of_all_that_was_there(plain_store: Store) -> None:
    results = results_of(plain_store)
    names = [f"t{n}" for n in range(300)]
    store_all(results, 0, 200)
    assert wait_for(results, names, timeout=LONG).keys() == set(names[:200])
    assert wait_for(results, names[100:], timeout=LONG).keys() == set(names[100:200])
    with ThreadPoolExecutor(100) as threads:
        waiting = [threads.submit(wait_for, results, [name], timeout=LONG) for name in names[200:]]
        store_all(results, 200, 300)
        assert [set(one.result(DEADLINE)) for one in waiting] == [{name} for name in names[200:]]


@pytest.mark.parametrize("is_there", [True, False], ids=["stored before", "stored meanwhile"])
def test_a_result_larger_than_the_server_lets_listeners_be_sent_is_read_all_the_same(
    own_redis_server: RedisServer, connect: Open, is_there: bool
) -> None:
    with own_redis_server.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 65536 65536 1")
    store = connect(own_redis_server.url)
    with ThreadPoolExecutor(1) as threads:
        reader, results = reader_of(store), results_of(store)
        small, large = record("t0"), record("t1")
        large = ResultRecord("t1", "SUCCESS", large.payload.replace(b":1,", b':"%s",' % (b"x" * 30_000_000)), 60.0)
        if is_there:
            results.store([large])
        waiting = threads.submit(reader.wait, "t1", timeout=LONG)
        if not is_there:
            time.sleep(0.2)  # so that it listens
            results.store([large])
        assert len(waiting.result(DEADLINE).result) == 30_000_000
        results.store([small])
        assert reader.wait("t0", timeout=DEADLINE).result == 1
