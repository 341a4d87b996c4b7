"""Many results read together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from celeriac.exceptions import TimeoutError
from celeriac.result import AsyncResult, ResultSet, allow_join_result
from celeriac.result.joining import joining_forbidden
from celeriac.wire.results import TaskResult
from tests.unit.spine import Spine


def finish(spine: Spine, task_id: str, state: str = "SUCCESS", result: Any = None) -> None:
    spine.app.writer.store([spine.app.writer.record(TaskResult(task_id=task_id, state=state, result=result))])


def a_set(spine: Spine, ids: Iterable[str] = ("a", "b", "c")) -> ResultSet[Any]:
    return spine.app.ResultSet([spine.app.AsyncResult(task_id) for task_id in ids])


def trips(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each trip to the store adds how many ids it asked for."""
    backend, asked = spine.app.reader.backend, []
    fetch = backend.fetch

    def counted(ids: list[str]) -> Any:
        asked.append(len(ids))
        return fetch(ids)

    monkeypatch.setattr(backend, "fetch", counted)
    return asked


def test_values_come_in_order_whatever_the_order_in_which_tasks_end(spine):
    for task_id in ("c", "a", "b"):
        finish(spine, task_id, result=task_id.upper())
    assert a_set(spine).get() == ["A", "B", "C"]
    assert a_set(spine).join() == a_set(spine).join_native() == ["A", "B", "C"]


def test_a_thousand_results_take_two_trips(spine, monkeypatch):
    ids = [str(n) for n in range(1000)]
    for task_id in ids:
        finish(spine, task_id, result=int(task_id))
    asked = trips(spine, monkeypatch)
    assert a_set(spine, ids).get() == list(range(1000))
    assert asked == [500, 500]


def test_results_that_come_while_it_waits_are_taken_as_they_come(spine):
    ids = [str(n) for n in range(40)]
    late = threading.Thread(target=lambda: [finish(spine, task_id, result=int(task_id)) for task_id in reversed(ids)])
    late.start()
    assert a_set(spine, ids).get(timeout=15) == list(range(40))
    late.join()


def test_the_first_failure_in_order_is_raised_though_later_ones_still_run(spine):
    finish(spine, "a", result=1)
    finish(spine, "b", "FAILURE", KeyError("k"))
    with pytest.raises(KeyError, match="k"):
        a_set(spine).get(timeout=15)


def test_without_propagation_exceptions_stand_among_the_values(spine):
    finish(spine, "a", result=1)
    finish(spine, "b", "FAILURE", KeyError("k"))
    finish(spine, "c", result=3)
    assert list(map(repr, a_set(spine).get(propagate=False))) == ["1", "KeyError('k')", "3"]


def test_callbacks_are_called_in_order(spine):
    told: list[Any] = []
    for task_id in ("c", "b", "a"):
        finish(spine, task_id, result=task_id.upper())
    a_set(spine).get(callback=lambda task_id, value: told.append((task_id, value)))
    assert told == [("a", "A"), ("b", "B"), ("c", "C")]


def test_a_result_that_does_not_come_in_time_is_named(spine):
    finish(spine, "a")
    with pytest.raises(TimeoutError, match=r"Not all of 3 results came within 0\.01 s; task b is among the missing"):
        a_set(spine).get(timeout=0.01)


def test_ignored_and_eager_results_ask_no_store(spine, monkeypatch):
    ignored = spine.app.task(ignore_result=True)(lambda: 5).delay()
    eager = spine.app.task(lambda: 6, name="six").apply()
    asked = trips(spine, monkeypatch)
    assert ResultSet([ignored, eager]).get() == [None, 6]
    assert asked == []


def test_inside_a_task_it_is_refused_unless_allowed(spine):
    finish(spine, "a", result=1)
    token = joining_forbidden.set(True)
    try:
        with pytest.raises(RuntimeError, match="within a task"):
            a_set(spine, ["a"]).get()
        assert a_set(spine, ["a"]).get(disable_sync_subtasks=False) == [1]
        with allow_join_result():
            assert a_set(spine, ["a"]).get() == [1]
    finally:
        joining_forbidden.reset(token)


def test_results_of_two_applications_are_read_from_two_stores(spine):
    other = Spine()
    finish(spine, "a", result=1)
    finish(other, "b", result=2)
    finish(spine, "c", result=3)
    handles = [spine.app.AsyncResult("a"), other.app.AsyncResult("b"), spine.app.AsyncResult("c")]
    assert ResultSet(handles).get() == [1, 2, 3]


def test_they_are_told_as_they_end(spine):
    finish(spine, "b", result=2)
    told = a_set(spine).iter_native(timeout=15)
    assert next(told) == (
        "b", {"task_id": "b", "status": "SUCCESS", "result": 2, "traceback": None, "children": None},
    )  # fmt: skip
    finish(spine, "a", result=1)
    finish(spine, "c", result=3)
    assert sorted(task_id for task_id, _ in told) == ["a", "c"]


def test_a_coroutine_waits_for_all(spine):
    for task_id in ("a", "b", "c"):
        finish(spine, task_id, result=task_id)
    assert asyncio.run(a_set(spine).aget(timeout=15)) == ["a", "b", "c"]
    with pytest.raises(TimeoutError):
        asyncio.run(a_set(spine, ["x"]).aget(timeout=0.01))


def test_it_tells_how_far_its_tasks_are(spine):
    results = a_set(spine)
    assert (results.ready(), results.waiting(), results.failed(), results.completed_count()) == (False, True, False, 0)
    finish(spine, "a")
    finish(spine, "b", "FAILURE", KeyError())
    assert (results.ready(), results.failed(), results.successful(), results.completed_count()) == (
        False, True, False, 1,
    )  # fmt: skip
    finish(spine, "c")
    assert (results.ready(), results.waiting(), results.successful()) == (True, False, False)


def test_it_is_a_collection_of_handles(spine):
    results = a_set(spine, ["a", "b", "a"])
    assert [handle.id for handle in results] == ["a", "b"]
    results.add(spine.app.AsyncResult("b"))
    results.update([spine.app.AsyncResult("c"), spine.app.AsyncResult("a")])
    assert repr(results) == "<ResultSet: [a, b, c]>"
    results.remove("a")
    results.discard("nobody")
    with pytest.raises(KeyError):
        results.remove(spine.app.AsyncResult("a"))
    assert (len(results), results[1].id, results == a_set(spine, ["b", "c"])) == (2, "c", True)
    results.clear()
    assert list(results) == []


def test_what_is_forgotten_is_gone_from_the_store_and_from_the_handles(spine):
    finish(spine, "a")
    results = a_set(spine, ["a"])
    assert results.get() == [None]
    results.forget()
    assert not AsyncResult("a", spine.app.reader).exists()
    assert results[0].state == "PENDING"
