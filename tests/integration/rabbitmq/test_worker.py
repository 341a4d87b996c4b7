"""Real workers on RabbitMQ, with their results in a file. What tasks did is counted outside the system."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

pytestmark = pytest.mark.timeout(60)

TASKS = """
    import os, signal, time
    from celeriac import Celeriac
    from tests.integration.worker.ledger import note

    app = Celeriac("store")

    @app.task
    def poison():
        note("begin")
        os.kill(os.getpid(), signal.SIGKILL)

    @app.task(time_limit=1)
    def endless():
        note("begin")
        time.sleep(60)

    @app.task
    def long(seconds):
        note("begin")
        time.sleep(seconds)
        return seconds
"""


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make_one(url: str, **transport: object) -> Place:
        place = Place(tmp_path, broker_url=url, transport=transport, results=f"sqlite:///{tmp_path / 'results.db'}")
        place.write("store", TASKS)
        places.append(place)
        return place

    yield make_one
    for place in places:
        place.leave()
        request.node.add_report_section("teardown", "workers", place.report())


@pytest.fixture
def place(make: Callable[..., Place], url: str) -> Place:
    return make(url)


def test_kill_9_of_a_worker_amid_500_tasks_loses_none(place):
    place.send_many("mark_slowly", [(number,) for number in range(500)])
    first = place.worker("-c", "2")
    place.until_noted("done", 100)
    first.kill()
    assert place.ledger.count("done") < 500, "the kill came too late to prove anything"
    place.worker("-c", "2")
    wanted = {str(number) for number in range(500)}
    until(lambda: set(place.ledger.subjects("done")) == wanted, "the last of 500 tasks")
    until(lambda: place.app.broker.stats(["celery"])["celery"].ready == 0)
    assert all(times == 2 for times in place.ledger.repeated("done").values())


def test_what_a_killed_engine_had_not_begun_runs_once_and_what_ran_twice(place):
    worker = place.worker("-c", "1")
    place.send("nap_until", "release")
    place.until_noted("begin")
    for number in range(20):
        place.send("mark", number)
    os.kill(worker.engines()[0], signal.SIGKILL)
    place.until_noted("begin", 2)
    (place.directory / "release").touch()
    until(lambda: len(place.ledger.subjects("done")) >= 20)
    assert place.ledger.repeated("done") == {}
    assert place.ledger.count("begin") == 2
    assert worker.is_running


def test_a_task_beyond_its_hard_limit_ends_once(place):
    place.worker("-c", "1", app="store")
    result = place.app.send_task("store.endless")
    with pytest.raises(Exception, match="ran longer than its time limit of 1 s"):
        result.get(timeout=20)
    place.app.send_task("store.long", (0,)).get(timeout=20)
    assert place.ledger.count("begin") == 2  # this one, and the one after it


def test_a_task_that_kills_its_workers_is_a_dead_letter_after_three_runs(place):
    place.worker("-c", "2", app="store")
    result = place.app.send_task("store.poison")
    with pytest.raises(Exception, match="its worker died 3 times while it ran"):
        result.get(timeout=30)
    until(lambda: list(place.app.dead_letters.list()))
    (letter,) = place.app.dead_letters.list()
    assert letter.reason == "its worker died 3 times while it ran"
    assert place.ledger.count("begin") == 3


def test_work_goes_on_when_the_server_is_back(make, own_node):
    place = make(own_node.url)
    place.worker("-c", "1")
    place.send("mark", "before")
    place.until_noted("done")
    own_node.restart()
    until(lambda: _sent(place, "after"), deadline=20)
    place.until_noted("done", 2, deadline=20)
    assert place.ledger.subjects("done") == ["before", "after"]


def _sent(place, subject):
    try:
        place.send("mark", subject)
    except Exception:
        return False
    return True
