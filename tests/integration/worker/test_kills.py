"""Processes that are killed at the worst moment. What tasks did is counted by the ledger, outside the system."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

from tests.integration.worker.node import stand_still, until
from tests.integration.worker.place import Place

WAIT = 15.0


@pytest.fixture(params=["sqlite", "redis", "rabbitmq"])
def store(request: pytest.FixtureRequest) -> str:
    """All of them: where a delivery lives as long as its connection, everything here is done in another way."""
    return str(request.param)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_kill_9_of_a_worker_amid_500_tasks_loses_none(short_place: Place, pool: str) -> None:
    place = short_place
    wanted = {str(number) for number in range(500)}
    place.send_many("mark_slowly", [(number,) for number in range(500)])
    first = place.worker("-P", pool, "-c", "2")
    place.until_noted("done", 100)
    first.kill()
    done_at_kill = place.ledger.count("done")
    assert done_at_kill < 500, "the kill came too late to prove anything"
    held = place.stats().leased
    place.worker("-P", pool, "-c", "2")
    until(lambda: set(place.ledger.subjects("done")) == wanted, "the last of 500 tasks")
    place.until_idle()
    # What had run and was not acknowledged yet, at most what was held at the kill, ran twice: at least once, it says.
    if place.app.broker.capabilities.leases:  # otherwise all is back before anybody can count
        assert len(place.ledger.repeated("done")) <= held
    assert all(times == 2 for times in place.ledger.repeated("done").values())


@pytest.mark.skipif(sys.platform != "linux", reason="others do not wake a process when its parent dies")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_stands_still_when_its_supervisor_is_killed_ends_too(
    make_place: Callable[..., Place], method: str
) -> None:
    place = make_place("sqlite", visibility_timeout=1.0)
    worker = place.worker("-c", "2", "--", f"worker.pool_start_method={method}")
    with stand_still([pid for pid in worker.family() if pid != worker.pid]) as still:
        assert len(still) >= 2
        worker.kill_supervisor()
        until(lambda: not worker.family(), "the end of all that stood still", deadline=WAIT)


def test_kill_9_of_an_engine_is_made_good_by_the_supervisor(short_place: Place) -> None:
    worker = short_place.worker("-c", "2")
    held = short_place.send_many("nap_until", [("release",), ("release",)])
    short_place.until_noted("begin", 2)
    engines = worker.engines()
    assert short_place.ledger.pids("begin") == set(engines)
    os.kill(engines[0], signal.SIGKILL)
    short_place.until_noted("begin", 3)
    third = short_place.ledger.lines("begin")[-1]
    assert third.pid not in engines
    (short_place.directory / "release").touch()
    assert [result.get(timeout=WAIT) for result in held] == ["release", "release"]
    assert short_place.ledger.count("begin") == 3
    assert "ended by itself" in worker.log
    assert "signal 9" in worker.log
    assert len(worker.engines()) == 2


def test_a_spawned_engine_that_was_killed_is_replaced(short_place: Place) -> None:
    worker = short_place.worker("-c", "1", "--", "worker.pool_start_method=spawn")
    result = short_place.send("kill_me_once", "a")
    assert result.get(timeout=WAIT) == "a"
    assert short_place.ledger.count("begin") == 2
    assert worker.terminate() == 0, worker.log


def test_a_spawned_engine_that_dies_before_it_could_report_is_started_again(sqlite_place: Place) -> None:
    place = sqlite_place
    place.write(
        "sitecustomize",
        """
        import os, sys
        if "celeriac.worker.spawned" in sys.orig_argv and os.path.exists("die"):
            os.remove("die")
            os._exit(7)
        """,
    )
    (place.directory / "die").touch()
    paths = os.pathsep.join([str(place.directory), place.environment["PYTHONPATH"]])
    worker = place.worker("-c", "1", "--", "worker.pool_start_method=spawn", PYTHONPATH=paths)
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
    assert "exit code 7" in worker.log
    assert worker.terminate() == 0, worker.log


def test_kill_9_of_the_supervisor_ends_the_engines_by_themselves(short_place: Place) -> None:
    worker = short_place.worker("-c", "2")
    running = short_place.send("nap_until", "release")
    short_place.until_noted("begin")
    worker.kill_supervisor()
    (short_place.directory / "release").touch()
    until(lambda: not worker.family(), "the end of the engines")
    assert running.get(timeout=WAIT) == "release"
    assert worker.log.count("The node's supervisor is gone; this engine stops") == 2
    short_place.worker("-c", "1")
    short_place.send("mark", "after").get(timeout=WAIT)


def test_kill_9_of_the_process_that_forks_engines_ends_the_node_and_loses_nothing(short_place: Place) -> None:
    worker = short_place.worker("-c", "2")
    running = short_place.send("nap_until", "release")
    short_place.until_noted("begin")
    os.kill(worker.forking_process(), signal.SIGKILL)
    (short_place.directory / "release").touch()
    assert worker.wait() == 1
    assert "The node stops" in worker.log
    assert running.get(timeout=WAIT) == "release"


def test_an_early_acknowledged_task_that_was_killed_does_not_run_again(short_place: Place) -> None:
    worker = short_place.worker("-c", "1")
    short_place.send("early_nap", 60)
    short_place.until_noted("begin")
    os.kill(worker.engines()[0], signal.SIGKILL)
    short_place.until_idle()
    short_place.send("mark", "after").get(timeout=WAIT)
    assert short_place.ledger.count("begin") == 1


def test_a_task_longer_than_its_lease_runs_once(short_place: Place) -> None:
    short_place.worker("-c", "1")
    short_place.worker("-c", "1")
    assert short_place.send("nap", 2.0, "long").get(timeout=WAIT) == "long"
    short_place.until_idle()
    assert short_place.ledger.subjects("begin") == ["long"]


def test_a_task_that_holds_the_interpreters_lock_longer_than_its_lease_runs_once(short_place: Place) -> None:
    short_place.worker("-c", "1")
    short_place.worker("-c", "1")
    assert short_place.send("hog", 2.0).get(timeout=WAIT) == "hog"
    short_place.until_idle()
    assert short_place.ledger.count("begin") == 1


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_busy_worker_that_keeps_its_leases_does_not_speak_of_lost_ones(
    make_place: Callable[..., Place], store: str, pool: str
) -> None:
    place = make_place(store, visibility_timeout=0.6)
    worker = place.worker("-P", pool, "-c", "2", "-l", "warning", "--", "worker_log_format=%(message)s", ready=False)
    place.send_many("mark_slowly", [(number,) for number in range(800)])
    place.until_noted("done", 800)
    place.until_idle()
    assert "lost" not in worker.log
    assert place.ledger.repeated("done") == {}


def test_a_worker_frozen_beyond_its_leases_leaves_its_tasks_to_others_and_goes_on(short_place: Place) -> None:
    place = short_place
    worker = place.worker("-c", "2", "-n", "frozen")
    results = place.send_many("nap_until", [("release",), ("release",)])
    place.until_noted("begin", 2)
    family = worker.family()
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    other = place.worker("-c", "2", "-n", "other")
    place.until_noted("begin", 4)
    (place.directory / "release").touch()
    place.until_noted("end", 2)
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    assert [result.get(timeout=WAIT) for result in results] == ["release", "release"]
    place.until_noted("end", 4)
    place.until_idle()
    assert other.terminate() == 0
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
    assert place.ledger.count("begin") == 4
    assert "lost" in worker.log
    assert worker.terminate() == 0, worker.log


def test_the_result_is_there_before_the_message_is_gone(short_place: Place) -> None:
    """Killed by its own success signal, at which the result is not stored yet, a task runs again, and ends."""
    short_place.write(
        "late",
        """
        import os, signal
        from celeriac import Celery, signals
        from tests.integration.worker.ledger import note

        app = Celery("late")

        @app.task
        def work():
            note("run")
            return "worked"

        @signals.task_success.connect
        def die_once(**kwargs):
            if not os.path.exists("died"):
                open("died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    short_place.worker("-c", "1", app="late")
    result = short_place.app.send_task("late.work")
    assert result.get(timeout=WAIT) == "worked"
    assert short_place.ledger.count("run") == 2
