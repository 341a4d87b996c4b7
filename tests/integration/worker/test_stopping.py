"""Stopping a worker: warmly, at once, from a terminal, and with every pool."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from celeriac.exceptions import TimeLimitExceeded
from tests.integration.worker.node import WorkerProcess, until
from tests.integration.worker.place import Place

WAIT = 10.0

SHAPES = {
    "prefork": ("-c", "2"),
    "spawn": ("-c", "2", "--", "worker.pool_start_method=spawn"),
    "threads": ("-P", "threads", "-c", "2"),
    "solo": ("-P", "solo"),
}
CASES = [*(("sqlite", shape) for shape in SHAPES)]
CASES += [(store, shape) for store in ("redis", "rabbitmq") for shape in ("prefork", "solo")]
"""Every shape on the default store; on the others the two in which other code stops the engine."""


class Case:
    """A place, and the options of the worker to stop there."""

    def __init__(self, place: Place, shape: str) -> None:
        self.place = place
        self.shape = shape
        self.slots = 1 if shape == "solo" else 2

    def worker(self, *settings: str) -> WorkerProcess:
        options = SHAPES[self.shape]
        between = ("--",) if settings and "--" not in options else ()
        return self.place.worker(*options, *between, *settings)


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, make_place: Callable[..., Place]) -> Case:
    store, shape = request.param
    return Case(make_place(store), shape)


def test_an_idle_worker_stops_with_0(case: Case) -> None:
    worker = case.worker()
    assert worker.terminate() == 0, worker.log
    assert "Traceback" not in worker.log


def test_a_warm_stop_finishes_what_runs_and_gives_back_the_rest(case: Case) -> None:
    place = case.place
    results = place.send_many("nap_until", [(f"release-{number}",) for number in range(8)])
    worker = case.worker()
    place.until_noted("begin", case.slots)
    worker.signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in worker.log and place.stats().leased == case.slots, "the rest in the queue again")

    def release_what_runs() -> bool:
        for file in place.ledger.subjects("begin"):
            (place.directory / file).touch()
        return not worker.is_running

    until(release_what_runs, "the end of the worker")
    assert worker.wait() == 0, worker.log
    ended = place.ledger.subjects("end")
    assert len(ended) < 8
    assert sorted(ended) == sorted(place.ledger.subjects("begin"))
    place.until_left(8 - len(ended))
    place.worker("-c", "1")
    for number in range(8):
        (place.directory / f"release-{number}").touch()
    assert [result.get(timeout=WAIT) for result in results] == [f"release-{number}" for number in range(8)]
    assert place.ledger.count("begin") == 8, "a task that had ended ran again"


@pytest.mark.parametrize("shape", ["prefork", "threads", "solo"])
def test_stopping_amid_many_short_tasks_runs_each_once(place: Place, shape: str) -> None:
    case = Case(place, shape)
    place.send_many("mark_slowly", [(number,) for number in range(300)])
    for goal in (60, 180):
        worker = case.worker()
        place.until_noted("done", goal)
        assert worker.terminate() == 0, worker.log
        until(lambda: place.stats().leased == 0, "the return of what was held")
    case.worker()
    place.until_noted("done", 300)
    place.until_idle()
    assert sorted(map(int, place.ledger.subjects("done"))) == list(range(300))


def test_quit_gives_back_what_runs_at_once(case: Case) -> None:
    place = case.place
    place.send("nap_until", "release")
    worker = case.worker()
    place.until_noted("begin")
    worker.signal(signal.SIGQUIT)
    worker.wait()
    was_given_back_and_runs_elsewhere(place, worker)


@pytest.mark.parametrize("shape", ["prefork", "threads", "solo"])
def test_a_second_term_gives_back_what_runs_at_once(sqlite_place: Place, shape: str) -> None:
    place, case = sqlite_place, Case(sqlite_place, shape)
    place.send("nap_until", "release")
    worker = case.worker()
    place.until_noted("begin")
    worker.signal(signal.SIGTERM)
    until(lambda: "Warm shutdown" in worker.log, "a word of the first signal: two that come together are one")
    worker.signal(signal.SIGTERM)
    worker.wait()
    was_given_back_and_runs_elsewhere(place, worker)


def was_given_back_and_runs_elsewhere(place: Place, worker: WorkerProcess) -> None:
    assert place.ledger.count("end") == 0
    place.until_left(1)
    (place.directory / "release").touch()
    place.worker("-c", "1")
    place.until_noted("end")
    place.until_idle()
    assert place.ledger.count("end") == 1


def test_quit_gives_coroutines_back(case: Case) -> None:
    place = case.place
    worker = case.worker()
    results = place.send_many("anap_until", [("go", number) for number in range(10)])
    place.until_noted("abegin", 10)
    worker.signal(signal.SIGQUIT)
    worker.wait()
    place.until_left(10)
    (place.directory / "go").touch()
    place.worker("-c", "1")
    assert sorted(result.get(timeout=WAIT) for result in results) == list(range(10))


def test_a_warm_stop_lets_coroutines_end(case: Case) -> None:
    place = case.place
    worker = case.worker()
    results = place.send_many("anap_until", [("go", number) for number in range(10)])
    place.until_noted("abegin", 10)
    worker.signal(signal.SIGTERM)
    (place.directory / "go").touch()
    assert worker.wait() == 0
    assert sorted(result.get(timeout=WAIT) for result in results) == list(range(10))
    assert place.ledger.count("abegin") == 10


@pytest.mark.parametrize("shape", ["prefork", "spawn", "solo"])
def test_ctrl_c_reaches_the_whole_group_and_is_a_warm_stop(sqlite_place: Place, shape: str) -> None:
    place = sqlite_place
    worker = Case(place, shape).worker()
    result = place.send("nap_until", "release")
    place.until_noted("begin")
    worker.interrupt_group()
    (place.directory / "release").touch()
    assert worker.wait() == 0, worker.log
    assert result.get(timeout=WAIT) == "release"
    assert place.ledger.count("begin") == 1
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("shape", ["prefork", "threads", "solo"])
def test_when_the_grace_is_over_what_runs_is_given_back(sqlite_place: Place, shape: str) -> None:
    place = sqlite_place
    worker = Case(place, shape).worker("worker_shutdown_grace=0.3")
    place.send("anap_until", "release", "a")
    place.until_noted("abegin")
    place.send("nap_until", "release")
    place.until_noted("begin")
    worker.terminate()
    place.until_left(2)
    assert place.ledger.count("end") == place.ledger.count("aend") == 0


@pytest.mark.parametrize("shape", ["prefork", "spawn"])
def test_a_task_that_reaches_its_time_limit_amid_a_stop_has_failed(place: Place, shape: str) -> None:
    worker = Case(place, shape).worker()
    result = place.send("nap_until", "never", time_limit=1.0)
    place.until_noted("begin")
    assert worker.terminate() == 0, worker.log
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=WAIT)
    place.until_left(0)


def test_a_worker_can_be_stopped_before_it_is_ready(place: Place) -> None:
    worker = place.worker("-c", "2", ready=False)
    until(lambda: "celeriac worker" in worker.log, "the banner")
    assert worker.terminate() == 0, worker.log


def test_what_tasks_start_hears_the_signals_that_engines_leave_to_the_node(sqlite_place: Place) -> None:
    sqlite_place.worker("-c", "1")
    assert sqlite_place.send("child_hears_term").get(timeout=WAIT) == -signal.SIGTERM


@pytest.mark.parametrize("shape", ["prefork", "solo"])
def test_a_thread_that_the_application_began_does_not_keep_the_node(sqlite_place: Place, shape: str) -> None:
    sqlite_place.write("threaded", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")
    sqlite_place.write("with_thread", "import threaded\nfrom shop import app")
    worker = sqlite_place.worker(*SHAPES[shape], app="with_thread")
    assert worker.terminate() == 0, worker.log
    assert "threads of the application run: Thread-" in worker.log
