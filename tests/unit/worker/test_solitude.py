"""One task alone in its engine: who waits for whom, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.wire.tasks import TaskCall
from celeriac.worker import solitude as module
from celeriac.worker.engine import Engine
from celeriac.worker.flag import Flag
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan
from celeriac.worker.solitude import Solitude
from tests.unit.spine import NODE

DEADLINE = 10.0
CALL = TaskCall("work", "id")


class Slots:
    """So many tasks run; one of them ends at each look."""

    def __init__(self, busy: int, *, ends: bool = True) -> None:
        self.busy = busy
        self.given_back = 0
        self._ends = ends
        self.stopping = Flag()
        self.solitude = Solitude(busy=self.look, give_back=self.give_back, stopping=self.stopping)

    def look(self) -> int:
        self.busy -= self._ends and self.busy > 0
        return self.busy

    def give_back(self) -> None:
        self.given_back += 1


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OTHERS_END", 0.2)
    monkeypatch.setattr(module, "_ALONE", 0.2)


@pytest.fixture
def other_thread() -> Iterator[Solitude]:
    """Return a solitude that another thread has begun, and ends when the test does."""
    slots, begun, done = Slots(0), threading.Event(), threading.Event()

    def hold() -> None:
        slots.solitude.begin(CALL, 2)
        begun.set()
        done.wait(DEADLINE)
        slots.solitude.end()

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(DEADLINE)
    yield slots.solitude
    done.set()
    thread.join(DEADLINE)
    assert not slots.solitude.is_wanted


def test_others_end_before_it_begins_and_it_ends_before_others_begin():
    slots = Slots(3)
    slots.solitude.begin(CALL, 2)
    assert (slots.busy, slots.given_back, slots.solitude.is_wanted) == (0, 1, True)
    slots.busy = 2
    slots.solitude.end()
    assert (slots.busy, slots.solitude.is_wanted) == (0, False)


def test_what_does_not_end_is_not_waited_for_for_ever():
    slots = Slots(1, ends=False)
    slots.solitude.begin(CALL, 2)
    assert slots.solitude.is_wanted
    slots.busy += 1  # itself
    slots.solitude.end()
    assert slots.busy == 2
    assert not slots.solitude.is_wanted


def test_the_others_that_it_did_not_wait_for_do_not_hold_it_up(monkeypatch):
    monkeypatch.setattr(module, "_ALONE", 60.0)
    slots = Slots(1, ends=False)
    slots.solitude.begin(CALL, 2)
    slots.solitude.end()  # its own run has ended, one of the others goes on
    assert not slots.solitude.is_wanted


def test_who_stops_waits_for_nobody(monkeypatch):
    monkeypatch.setattr(module, "_OTHERS_END", 60.0)
    slots = Slots(1, ends=False)
    slots.stopping.set()
    slots.solitude.begin(CALL, 2)
    slots.solitude.end()
    assert not slots.solitude.is_wanted


def test_a_second_one_does_not_wait_for_ever_and_does_not_end_the_first(other_thread):
    other_thread.begin(CALL, 2)
    other_thread.end()
    assert other_thread.is_wanted


@pytest.mark.parametrize("is_async", [False, True])
def test_nothing_begins_beside_it(spine, is_async):
    if is_async:

        @spine.app.task(name="beside")
        async def beside() -> None:
            """Do nothing."""

    else:
        spine.app.task(name="beside")(lambda: None)
    spine.app.tasks["beside"].delay()
    node = plan(WorkerOptions(pool="solo", hostname=NODE), spine.app.conf, queues=("celery",))
    with ThreadPoolExecutor(1) as pool:  # in the main thread the engine would take SIGALRM for itself
        engine = pool.submit(Engine, spine.app, node, Holdings(), index=1).result(DEADLINE)
        engine._admit(engine._claim(1))
        backlog = engine._async_backlog.jobs if is_async else engine._backlog
        engine._solitude.is_wanted = True
        engine._feed()
        assert len(backlog) == 1, "another thread has begun a solitude"
        engine._solitude.is_wanted = False
        pool.submit(engine._feed).result(DEADLINE)
        assert not backlog
        engine._coroutines.stop(lambda: DEADLINE)
