"""Callers: many at once, from threads, coroutines and forked children, and from inside tasks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from tests.integration.worker.place import Place

WAIT = 15.0


def in_a_fork(work: Callable[[], bool]) -> None:
    """Fail unless `work` returns True in a forked child, before the deadline."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            threading.Timer(WAIT, lambda: os._exit(3)).start()
            code = 0 if work() else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_delay_many_of_5000_come_back_in_order(place: Place) -> None:
    place.worker("-c", "2", "-l", "warning", ready=False)
    shop = place.app.task(name="shop.add")(lambda x, y: None)
    results = shop.delay_many((number, 1) for number in range(5000))
    assert [result.get(timeout=WAIT) for result in results] == list(range(1, 5001))


def test_concurrent_adelay_and_aget_share_trips(place: Place) -> None:
    place.worker("-c", "1", "-l", "warning", ready=False)
    add = place.app.task(name="shop.add")(lambda x, y: None)

    async def one(number: int) -> int:
        result = await add.adelay(number, 1)
        return await result.aget(timeout=WAIT)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(300)))

    assert asyncio.run(all_of_them()) == list(range(1, 301))
    assert threading.active_count() < 20


def test_an_app_is_shared_by_threads(place: Place) -> None:
    place.worker("-c", "1", "-l", "warning", ready=False)
    found: dict[int, int] = {}

    def call(number: int) -> None:
        found[number] = sum(place.send("add", number, n).get(timeout=WAIT) for n in range(5))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert found == {number: number * 5 + 10 for number in range(20)}


def test_a_fork_of_a_client_goes_on_beside_its_parent(place: Place) -> None:
    place.worker("-c", "1", "-l", "warning", ready=False)
    before = place.send("add", 1, 1)
    assert before.get(timeout=WAIT) == 2
    in_a_fork(lambda: place.send("add", 2, 2).get(timeout=WAIT) == 4)
    assert place.send("add", 3, 3).get(timeout=WAIT) == 6


def test_a_fork_amid_the_work_of_other_threads_does_not_hang(place: Place) -> None:
    place.worker("-c", "1", "-l", "warning", ready=False)
    assert place.send("add", 0, 0).get(timeout=WAIT) == 0  # a fork amid a first import hangs by Python's own locks
    ended = threading.Event()

    def call_for_ever() -> None:
        while not ended.is_set():
            place.send("add", 1, 1).get(timeout=WAIT)

    threads = [threading.Thread(target=call_for_ever) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            in_a_fork(lambda: place.send("add", 2, 2).get(timeout=WAIT) == 4)
    finally:
        ended.set()
        for thread in threads:
            thread.join(WAIT)


@pytest.mark.parametrize("way", ["adelay", "aget"])
def test_coroutines_work_in_a_fork_of_a_process_that_used_them(place: Place, way: str) -> None:
    place.worker("-c", "1", "-l", "warning", ready=False)
    add = place.app.task(name="shop.add")(lambda x, y: None)

    async def call(number: int) -> int:
        result = await add.adelay(number, 1) if way == "adelay" else add.delay(number, 1)
        return await result.aget(timeout=WAIT)

    assert asyncio.run(call(1)) == 2
    in_a_fork(lambda: asyncio.run(call(2)) == 3)
    assert asyncio.run(call(3)) == 4


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_send_tasks(place: Place, pool: str) -> None:
    place.worker("-P", pool, "-c", "2")
    parents = place.send_many("parent", [()] * 20)
    for parent in parents:
        child = place.app.AsyncResult(parent.get(timeout=WAIT)).get(timeout=WAIT)
        assert child["parent_id"] == parent.id


def test_the_module_that_a_client_imports_may_be_the_workers(sqlite_place: Place) -> None:
    """An application imported, used, forked and used again, as by a web server that forks after loading."""
    sqlite_place.worker("-c", "1")
    printed = sqlite_place.run(
        """
        import os
        from shop import add
        print(add.delay(1, 2).get(timeout=10), flush=True)
        if os.fork() == 0:
            print(add.delay(3, 4).get(timeout=10), flush=True)
            os._exit(0)
        os.wait()
        print(add.delay(5, 6).get(timeout=10))
        """
    )
    assert printed == "3\n7\n11\n"
