"""Many coroutines wait in one thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from celeriac.drivers.memory import store as memory
from celeriac.exceptions import BackendError, ImproperlyConfigured
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.result.waiting import GroupWaiter
from celeriac.testing.faults import ResultsBefore
from tests.unit.forks import can_fork, holds_in_a_fork

DEADLINE = 10.0
SLICE = 0.02


class Breakable(ResultsBefore):
    """A store whose waits fail while it is broken."""

    is_broken = False

    def _call(self, call):
        if self.is_broken:
            raise BackendError("away")
        return call()


@pytest.fixture
def results(spine) -> Breakable:
    return Breakable(spine.app.results)


@pytest.fixture
def waiter(results: ResultBackend) -> GroupWaiter:
    return GroupWaiter(lambda: results, look_every=SLICE)


@pytest.fixture
def listened_for(spine) -> Callable[[], set[str]]:
    """Return which ids the store knows to be waited for."""
    return lambda: set(memory.share(spine.store).records.listening)


@pytest.fixture
def new_loop() -> Iterator[Callable[[], asyncio.AbstractEventLoop]]:
    loops: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.new_event_loop())
        return loops[-1]

    yield make
    for loop in loops:
        loop.close()


async def end_of(waiter: GroupWaiter, task_id: str) -> bytes:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    waiter.add(task_id, future)
    try:
        async with asyncio.timeout(DEADLINE):
            return await future
    finally:
        waiter.discard(task_id, future)


async def begin(waiter: GroupWaiter, *ids: str) -> list[asyncio.Task[bytes]]:
    tasks = [asyncio.ensure_future(end_of(waiter, task_id)) for task_id in ids]
    await asyncio.sleep(0)
    return tasks


def end(results: ResultBackend, *ids: str) -> None:
    results.store([ResultRecord(task_id, "SUCCESS", task_id.encode(), None) for task_id in ids])


OTHERS: set[threading.Thread] = set()
"""Threads of tests before this one, which may go on for a while."""


@pytest.fixture(autouse=True)
def _own_threads():
    OTHERS.update(threading.enumerate())
    yield
    OTHERS.clear()


def threads() -> int:
    return sum(thread.name == "celeriac-results" for thread in threading.enumerate() if thread not in OTHERS)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_each_gets_the_payload_of_its_own_task(results, waiter):
    async def wait() -> list[bytes]:
        tasks = await begin(waiter, *"abcdefgh")
        end(results, *"hgfedcba")
        return await asyncio.gather(*tasks)

    assert asyncio.run(wait()) == [task_id.encode() for task_id in "abcdefgh"]


def test_several_may_wait_for_one_task(results, waiter):
    async def wait() -> list[bytes]:
        tasks = await begin(waiter, *["a"] * 10)
        tasks[3].cancel()
        end(results, "a")
        return await asyncio.gather(*tasks[:3], *tasks[4:])

    assert asyncio.run(wait()) == [b"a"] * 9


def test_however_many_wait_there_is_one_thread(results, waiter):
    ids = [str(number) for number in range(1000)]

    async def wait() -> list[bytes]:
        tasks = await begin(waiter, *ids)
        assert threads() == 1
        end(results, *ids)
        return await asyncio.gather(*tasks)

    assert asyncio.run(wait()) == [task_id.encode() for task_id in ids]


def test_event_loops_of_several_threads_share_it(results, waiter):
    found: list[bytes] = []
    started = threading.Barrier(5)

    async def wait(number: int) -> None:
        tasks = await begin(waiter, *(f"{number}-{n}" for n in range(50)), "common")
        started.wait(DEADLINE)
        found.extend(await asyncio.gather(*tasks))

    callers = [threading.Thread(target=lambda number=number: asyncio.run(wait(number))) for number in range(4)]
    for caller in callers:
        caller.start()
    started.wait(DEADLINE)
    assert threads() == 1
    end(results, "common", *(f"{number}-{n}" for number in range(4) for n in range(50)))
    for caller in callers:
        caller.join(DEADLINE)
    assert len(found) == 204


def test_the_thread_ends_when_nothing_is_waited_for_and_another_begins(results, waiter, listened_for):
    for task_id in "ab":
        end(results, task_id)
        assert asyncio.run(end_of(waiter, task_id)) == task_id.encode()
        until(lambda: threads() == 0)
    assert listened_for() == set()


def test_a_store_that_fails_is_told_to_everyone_who_waits_and_may_come_back(results, waiter, listened_for):
    async def wait() -> list[bytes | BaseException]:
        tasks = await begin(waiter, *(str(number) for number in range(1000)))
        results.is_broken = True
        return await asyncio.gather(*tasks, return_exceptions=True)

    errors = asyncio.run(wait())
    assert {repr(error) for error in errors} == {"BackendError('away')"}
    results.is_broken = False
    end(results, "a")
    assert asyncio.run(end_of(waiter, "a")) == b"a"
    until(lambda: threads() == 0)
    assert listened_for() == set()


def test_without_a_store_the_caller_is_told(results):
    def no_backend() -> ResultBackend:
        raise ImproperlyConfigured("there is none")

    with pytest.raises(ImproperlyConfigured, match="there is none"):
        asyncio.run(end_of(GroupWaiter(no_backend), "a"))
    assert threads() == 0


def test_a_wait_that_was_cancelled_leaves_nothing_behind(results, waiter, listened_for):
    async def wait() -> bytes:
        given_up = await begin(waiter, *(str(number) for number in range(500)))
        (wanted,) = await begin(waiter, "wanted")
        assert len(listened_for()) == 501
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert listened_for() == {"wanted"}
        end(results, "wanted")
        return await wanted

    assert asyncio.run(wait()) == b"wanted"
    assert listened_for() == set()


def test_an_event_loop_that_is_closed_meanwhile_is_forgotten(waiter, results, new_loop, listened_for, caplog):
    loop = new_loop()
    orphans = loop.run_until_complete(begin(waiter, "early", "late", "common"))
    loop.close()

    async def wait() -> bytes:
        (wanted,) = await begin(waiter, "common")
        end(results, "early")
        await asyncio.to_thread(until, lambda: listened_for() == {"common"})
        end(results, "common")
        return await wanted

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(wait()) == b"common"
        until(lambda: threads() == 0)
    assert caplog.messages == []
    assert not any(orphan.done() for orphan in orphans)
    del orphans
    gc.collect()  # it ends the coroutines, each of which says that it waits no more
    end(results, "late")
    assert asyncio.run(end_of(waiter, "late")) == b"late"


def test_a_store_that_is_closed_ends_the_thread(spine, waiter):
    async def wait() -> None:
        tasks = await begin(waiter, "a")
        spine.app.results.close()
        with pytest.raises(BackendError, match="was closed"):
            await tasks[0]

    asyncio.run(wait())
    until(lambda: threads() == 0)


@can_fork
def test_a_forked_child_waits_with_a_thread_of_its_own(results, waiter):
    ids = [f"parent's {number}" for number in range(8)]

    async def wait() -> list[bytes]:
        tasks = await begin(waiter, *ids)
        end(results, "child's")
        assert holds_in_a_fork(lambda: wait_in_another_loop(waiter, "child's") == b"child's")
        end(results, *ids)
        return await asyncio.gather(*tasks)

    assert asyncio.run(wait()) == [task_id.encode() for task_id in ids]


def wait_in_another_loop(waiter: GroupWaiter, task_id: str) -> bytes:
    """Wait in a child whose parent was in a running loop."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(end_of(waiter, task_id))))
    thread.start()
    thread.join(DEADLINE)
    return found[0]
