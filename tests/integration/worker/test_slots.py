"""How much runs at once: told by the ledger, in which overlapping runs can be counted."""

from __future__ import annotations

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 10.0


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_concurrency_4_runs_exactly_4_at_once(place: Place, pool: str) -> None:
    place.worker("-P", pool, "-c", "4")
    results = place.send_many("nap", [(0.15,)] * 16)
    for result in results:
        result.get(timeout=WAIT)
    assert place.ledger.most_at_once("begin", "end") == 4
    assert len(place.ledger.pids("begin")) == (4 if pool == "prefork" else 1)
    assert place.ledger.repeated("begin") == {}


def test_processes_and_threads_multiply(place: Place) -> None:
    place.worker("--processes", "2", "--threads", "3")
    for result in place.send_many("nap", [(0.2,)] * 18):
        result.get(timeout=WAIT)
    assert place.ledger.most_at_once("begin", "end") == 6
    assert len(place.ledger.pids("begin")) == 2


def test_solo_runs_one_at_a_time_in_the_nodes_own_process(place: Place) -> None:
    worker = place.worker("-P", "solo", "-c", "4")
    for result in place.send_many("nap", [(0.02,)] * 5):
        result.get(timeout=WAIT)
    assert place.ledger.most_at_once("begin", "end") == 1
    assert place.ledger.pids("begin") == {worker.pid}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_hundred_sleeping_coroutines_sleep_together(place: Place, pool: str) -> None:
    place.worker("-P", pool, "-c", "1")
    results = place.app.send_task("shop.anap", (0.3,)), *place.send_many("anap", [(0.3,)] * 99)
    for result in results:
        result.get(timeout=WAIT)
    # They are claimed in several steps, the first of which is small; none waits for the end of another.
    assert place.ledger.most_at_once("abegin", "aend") > 50
    assert place.ledger.repeated("abegin") == {}


def test_waiting_coroutines_run_all_at_once(place: Place) -> None:
    results = place.send_many("anap_until", [("go", number) for number in range(100)])
    place.worker("-c", "1")
    place.until_noted("abegin", 100)
    (place.directory / "go").touch()
    assert sorted(result.get(timeout=WAIT) for result in results) == list(range(100))
    assert place.ledger.most_at_once("abegin", "aend") == 100


def test_coroutines_beyond_their_slots_wait(place: Place) -> None:
    place.worker("-c", "1", "--", "worker_async_concurrency=5")
    for result in place.send_many("anap", [(0.1,)] * 20):
        result.get(timeout=WAIT)
    assert place.ledger.most_at_once("abegin", "aend") == 5


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_synchronous_and_async_tasks_run_beside_one_another(place: Place, pool: str) -> None:
    place.worker("-P", pool, "-c", "1")
    waiting = place.send_many("anap_until", [("go", number) for number in range(10)])
    place.until_noted("abegin", 10)
    assert place.send("add", 2, 3).get(timeout=WAIT) == 5, "a synchronous task waited for coroutines"
    (place.directory / "go").touch()
    assert sorted(result.get(timeout=WAIT) for result in waiting) == list(range(10))


def test_a_coroutine_goes_on_while_a_synchronous_task_holds_the_slot(place: Place) -> None:
    place.worker("-c", "1")
    coroutine = place.send("anap_until", "go", 1)
    place.until_noted("abegin")
    blocking = place.send("nap_until", "release")
    place.until_noted("begin")
    (place.directory / "go").touch()
    assert coroutine.get(timeout=WAIT) == 1
    (place.directory / "release").touch()
    assert blocking.get(timeout=WAIT) == "release"


def test_short_tasks_do_not_wait_behind_a_long_one_while_another_engine_is_free(place: Place) -> None:
    worker = place.worker("-c", "2")
    for result in place.send_many("add", [(1, 1)] * 200):
        result.get(timeout=WAIT)
    long = place.send("nap_until", "release")
    short = place.send_many("add", [(number, 0) for number in range(50)])
    assert [result.get(timeout=WAIT) for result in short] == list(range(50)), worker.log
    (place.directory / "release").touch()
    assert long.get(timeout=WAIT) == "release"


def test_what_was_claimed_behind_a_long_task_is_given_back(place: Place) -> None:
    place.worker("-c", "1")
    for result in place.send_many("add", [(1, 1)] * 200):
        result.get(timeout=WAIT)
    long = place.send("nap_until", "release")
    place.send_many("mark", [(number,) for number in range(20)])
    place.until_noted("begin")
    until(lambda: place.stats().ready == 20 and place.stats().leased == 1, "the claimed tasks in the queue again")
    (place.directory / "release").touch()
    long.get(timeout=WAIT)
    place.until_noted("done", 20)
    assert place.ledger.subjects("done") == [str(number) for number in range(20)], "they lost their order"
