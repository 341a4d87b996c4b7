"""The suite of waiting for many results at once: listeners, and the coroutines and threads that wait by them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from celeriac import states
from celeriac.exceptions import BackendError, TimeoutError
from celeriac.interfaces.results import ResultBackend, ResultListener
from celeriac.interfaces.store import Store
from celeriac.result.reader import ResultReader
from celeriac.result.waiting import wait_for
from celeriac.testing.conformance.fixtures import THREAD_PREFIX
from celeriac.testing.conformance.results import LONG, payload, record
from celeriac.testing.conformance.samples import DEADLINE, eventually, in_thread
from celeriac.wire.content import accepted
from celeriac.wire.results import TaskResult

MANY = 1000
SHORT = 0.2


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> ResultBackend:
    """A second client of the same store."""
    results = reopen().results
    assert results is not None
    return results


@pytest.fixture
def reader(results: ResultBackend) -> ResultReader:
    """What `AsyncResult.get` and `aget` ask."""
    return ResultReader(lambda: results, serializer="json", accept=accepted(["json"]), handle_on=str)


def collect(listener: ResultListener, count: int) -> dict[str, bytes]:
    """Get until so many have been told, discarding each, as whoever listens for many does."""
    found: dict[str, bytes] = {}
    deadline = time.monotonic() + DEADLINE
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} were told"
        told = listener.get(timeout=1.0)
        listener.discard(told)
        found.update(told)
    return found


# -- listeners ---------------------------------------------------------------------------------------------------------


def test_without_time_a_listener_looks_all_the_same(results: ResultBackend) -> None:
    results.store([record("a"), record("b", states.STARTED)])
    for ids in (["a"], ["b", "a"]):
        assert dict(wait_for(results, ids, timeout=0.0)) == {"a": payload("a")}
        assert dict(wait_for(results, ids, timeout=-1.0)) == {"a": payload("a")}


def test_what_is_added_while_a_listener_waits_is_told_when_it_ends(results: ResultBackend, peer: ResultBackend) -> None:
    with closing(results.listen(["x"])) as listener, in_thread(lambda: listener.get(timeout=LONG)) as told:
        listener.add(["y", "a"])
        peer.store([record("a")])
        assert dict(told.result(DEADLINE)) == {"a": payload("a")}


def test_what_has_ended_already_is_told_when_it_is_added(results: ResultBackend, peer: ResultBackend) -> None:
    peer.store([record("a")])
    with closing(results.listen()) as listener, in_thread(lambda: listener.get(timeout=LONG)) as told:
        listener.add(["x", "a"])
        assert dict(told.result(DEADLINE)) == {"a": payload("a")}


def test_what_is_added_again_is_looked_for_again(results: ResultBackend) -> None:
    results.store([record("a")])
    with closing(results.listen(["a", "b"])) as listener:
        for _ in range(3):
            assert dict(listener.get(timeout=LONG)) == {"a": payload("a")}
            listener.add(["a"])


def test_what_is_discarded_is_not_told(results: ResultBackend, peer: ResultBackend) -> None:
    with closing(results.listen()) as listener:
        listener.add(["a", "b", "c"])
        assert dict(listener.get(timeout=SHORT)) == {}
        listener.discard(["a", "b", "never-added"])
        peer.store([record("a")])
        assert dict(listener.get(timeout=SHORT)) == {}
        listener.add(["b"])
        peer.store([record("b"), record("c")])
        assert set(collect(listener, 2)) == {"b", "c"}


def test_a_listener_for_nothing_waits_until_its_time_is_over(results: ResultBackend) -> None:
    start = time.monotonic()
    with closing(results.listen()) as listener:
        assert dict(listener.get(timeout=SHORT)) == {}
    assert time.monotonic() - start >= SHORT - 0.01


def test_what_one_listener_discards_the_others_are_told(results: ResultBackend, peer: ResultBackend) -> None:
    with closing(results.listen()) as one, closing(results.listen()) as other:
        for listener in (one, other):
            listener.add(["a", "b"])
        one.discard(["a"])
        peer.store([record("a"), record("b")])
        assert set(collect(other, 2)) == {"a", "b"}
        assert set(collect(one, 1)) == {"b"}


def test_many_threads_may_add_while_one_gets(results: ResultBackend, peer: ResultBackend) -> None:
    ids = [f"id-{n}" for n in range(MANY)]
    with closing(results.listen()) as listener, ThreadPoolExecutor(9) as pool:
        told = pool.submit(collect, listener, MANY)
        for start in range(0, MANY, 10):
            pool.submit(listener.add, ids[start : start + 10])
            pool.submit(peer.store, [record(task_id) for task_id in ids[start : start + 10]])
        assert told.result(DEADLINE) == {task_id: payload(task_id) for task_id in ids}


def test_closing_the_store_is_told_to_a_listener_for_nothing(reopen: Callable[[], Store]) -> None:
    results = reopen().results
    assert results is not None
    with closing(results.listen()) as listener, in_thread(lambda: listener.get(timeout=LONG)) as told:
        results.close()
        with pytest.raises(BackendError):
            told.result(DEADLINE)


# -- coroutines --------------------------------------------------------------------------------------------------------


def test_a_coroutine_is_answered_at_once_however_many_others_wait(reader: ResultReader, peer: ResultBackend) -> None:
    """Five hundred, one after the other: there is no time for waiting until something else is over."""

    async def wait() -> None:
        others = [asyncio.ensure_future(reader.wait_async(f"long-{n}", timeout=LONG)) for n in range(MANY - 1)]
        for n in range(500):
            (answer,) = await begin(reader, f"short-{n}")
            await asyncio.to_thread(peer.store, [record(f"short-{n}")])
            assert (await answer).task_id == f"short-{n}"
        assert not any(other.done() for other in others)
        await cancel(others)

    asyncio.run(asyncio.wait_for(wait(), DEADLINE))


def test_a_thousand_coroutines_need_one_thread(reader: ResultReader, peer: ResultBackend) -> None:
    ids = [f"id-{n}" for n in range(MANY)]

    async def wait() -> None:
        before = our_threads()
        answers = await begin(reader, *ids)
        await asyncio.sleep(SHORT)
        assert len(our_threads() - before) <= 2  # one that gets, and one of the driver's
        for start in range(0, MANY, 100):
            await asyncio.to_thread(peer.store, [record(task_id) for task_id in ids[start : start + 100]])
        assert [(await answer).task_id for answer in answers] == ids

    asyncio.run(asyncio.wait_for(wait(), DEADLINE))


def test_coroutines_and_threads_wait_side_by_side(reader: ResultReader, peer: ResultBackend) -> None:
    ids = [f"id-{n}" for n in range(200)]

    async def wait(threads: ThreadPoolExecutor) -> None:
        answers = await begin(reader, *ids)
        loop = asyncio.get_running_loop()
        blocked = [loop.run_in_executor(threads, partial(reader.wait, task_id, timeout=LONG)) for task_id in ids[::4]]
        for start in range(0, len(ids), 20):
            await asyncio.to_thread(peer.store, [record(task_id) for task_id in ids[start : start + 20]])
        assert [(await answer).task_id for answer in answers] == ids
        assert [(await answer).task_id for answer in blocked] == ids[::4]

    with ThreadPoolExecutor(50, thread_name_prefix="suite") as threads:
        asyncio.run(asyncio.wait_for(wait(threads), DEADLINE))


def test_a_thousand_coroutines_give_up_when_their_time_is_over(reader: ResultReader, peer: ResultBackend) -> None:
    async def give_up(n: int) -> float:
        start = time.monotonic()
        with pytest.raises(TimeoutError, match=rf"No result of task id-{n} after {SHORT} s"):
            await reader.wait_async(f"id-{n}", timeout=SHORT)
        return time.monotonic() - start

    async def wait() -> None:
        spans = await asyncio.gather(*(give_up(n) for n in range(MANY)))
        assert min(spans) >= SHORT
        (answer,) = await begin(reader, "id-0")
        await asyncio.to_thread(peer.store, [record("id-0")])
        assert (await answer).state == states.SUCCESS

    asyncio.run(asyncio.wait_for(wait(), DEADLINE))


def test_without_time_a_coroutine_is_given_what_is_there(reader: ResultReader, results: ResultBackend) -> None:
    results.store([record("a"), record("b", states.STARTED)])

    async def wait() -> None:
        assert (await reader.wait_async("a", timeout=0)).state == states.SUCCESS
        with pytest.raises(TimeoutError):
            await reader.wait_async("b", timeout=0)

    asyncio.run(wait())


def test_coroutines_that_are_cancelled_leave_the_others_waiting(reader: ResultReader, peer: ResultBackend) -> None:
    async def wait() -> None:
        answers = await begin(reader, *(f"id-{n % 600}" for n in range(MANY)))
        await cancel(answers[:500])
        await asyncio.to_thread(peer.store, [record(f"id-{n}") for n in range(600)])
        assert [(await answer).task_id for answer in answers[500:]] == [f"id-{n % 600}" for n in range(500, MANY)]

    asyncio.run(asyncio.wait_for(wait(), DEADLINE))


def test_closing_the_store_is_told_to_a_thousand_coroutines(reopen: Callable[[], Store]) -> None:
    results = reopen().results
    assert results is not None
    reader = ResultReader(lambda: results, serializer="json", accept=accepted(["json"]), handle_on=str)

    async def wait() -> None:
        answers = await begin(reader, *(f"id-{n}" for n in range(MANY)))
        await asyncio.to_thread(results.close)
        errors = await asyncio.gather(*answers, return_exceptions=True)
        assert all(isinstance(error, BackendError) for error in errors)

    before = our_threads()
    asyncio.run(asyncio.wait_for(wait(), DEADLINE))
    eventually(lambda: our_threads() <= before)


async def begin(reader: ResultReader, *ids: str) -> list[asyncio.Task[TaskResult]]:
    """Begin to wait; when this returns, every id is asked for."""
    tasks = [asyncio.ensure_future(reader.wait_async(task_id, timeout=LONG)) for task_id in ids]
    await asyncio.sleep(0)
    return tasks


async def cancel(tasks: list[asyncio.Task[TaskResult]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)}
