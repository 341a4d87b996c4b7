"""Many coroutines wait on few threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultRecord
from celeriac.result.waiting import GroupWaiter
from celeriac.testing.faults import ResultsBefore
from tests.unit.forks import can_fork, holds_in_a_fork

DEADLINE = 10.0


class Noting(ResultsBefore):
    """A store that notes which ids are waited for together; `broken` makes the next wait fail."""

    def __init__(self, inner):
        super().__init__(inner)
        self.waits: list[list[str]] = []
        self.broken = False

    def wait(self, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
        self.waits.append(list(ids))
        if self.broken:
            raise BackendError("away")
        return self._inner.wait(ids, timeout=timeout)


@pytest.fixture
def results(spine) -> Noting:
    return Noting(spine.app.results)


def end(results: Noting, *ids: str) -> None:
    results.store([ResultRecord(task_id, "SUCCESS", task_id.encode(), None) for task_id in ids])


def threads() -> int:
    return sum(thread.name == "celeriac-results" for thread in threading.enumerate())


def test_each_gets_the_payload_of_its_own_task(results):
    waiter = GroupWaiter(lambda: results)
    futures = {task_id: waiter.add(task_id) for task_id in "abcdefgh"}
    end(results, *futures)
    assert {task_id: future.result(DEADLINE) for task_id, future in futures.items()} == {
        task_id: task_id.encode() for task_id in futures
    }


def test_several_may_wait_for_one_task(results):
    waiter = GroupWaiter(lambda: results)
    futures = [waiter.add("a") for _ in range(10)]
    end(results, "a")
    assert {future.result(DEADLINE) for future in futures} == {b"a"}


def test_however_many_wait_there_are_few_threads(results):
    waiter = GroupWaiter(lambda: results)
    futures = [waiter.add(str(number)) for number in range(300)]
    assert 1 <= threads() <= 4
    end(results, *(str(number) for number in range(300)))
    for future in futures:
        future.result(DEADLINE)


def test_a_store_that_fails_is_told_to_everyone_who_waits(results):
    results.broken = True
    waiter = GroupWaiter(lambda: results)
    futures = [waiter.add(task_id) for task_id in "ab"]
    for future in futures:
        with pytest.raises(BackendError, match="away"):
            future.result(DEADLINE)


def test_a_wait_that_was_cancelled_does_not_keep_the_others_waiting(results):
    waiter = GroupWaiter(lambda: results)
    given_up, wanted = waiter.add("a"), waiter.add("b")
    given_up.cancel()
    end(results, "a", "b")
    assert wanted.result(DEADLINE) == b"b"
    assert given_up.cancelled()


@can_fork
def test_a_forked_child_waits_with_threads_of_its_own(results):
    waiter = GroupWaiter(lambda: results)
    parents = [waiter.add(f"parent's {number}") for number in range(8)]
    end(results, "child's")
    assert holds_in_a_fork(lambda: waiter.add("child's").result(DEADLINE) == b"child's")
    end(results, *(f"parent's {number}" for number in range(8)))
    for future in parents:
        future.result(DEADLINE)
