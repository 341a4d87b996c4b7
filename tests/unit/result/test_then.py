"""Callbacks at the end of tasks."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from celeriac import Celeriac
from celeriac.exceptions import BackendError
from celeriac.result import AsyncResult
from celeriac.wire.results import TaskResult
from tests.unit.forks import can_fork, holds_in_a_fork
from tests.unit.spine import Spine

DEADLINE = 10.0


def finish(app: Celeriac, *ids: str, state: str = "SUCCESS", value: Any = None) -> None:
    app.writer.store([app.writer.record(TaskResult(task_id, state, value or task_id)) for task_id in ids])


class Calls:
    """What was called back, in which thread."""

    def __init__(self) -> None:
        self._made: queue.Queue[tuple[Any, str]] = queue.Queue()

    def __call__(self, told: Any) -> None:
        self._made.put((told, threading.current_thread().name))

    def next(self) -> tuple[Any, str]:
        return self._made.get(timeout=DEADLINE)

    @property
    def are_over(self) -> bool:
        return self._made.empty()


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_a_callback_gets_the_handle_when_the_task_has_ended(spine, calls):
    handle = spine.app.AsyncResult("x")
    handle.then(calls)
    assert calls.are_over
    finish(spine.app, "x", value=5)
    assert calls.next() == (handle, "celeriac-results")
    assert handle.end.result == 5


@pytest.mark.parametrize(("state", "value"), [("FAILURE", KeyError("k")), ("REVOKED", None)])
def test_a_task_that_ended_badly_is_called_back_too(spine, calls, state, value):
    errors = Calls()
    spine.app.AsyncResult("x").then(calls, errors)
    finish(spine.app, "x", state=state, value=value)
    handle, _ = calls.next()
    assert handle.state == state
    assert errors.are_over


def test_an_end_that_is_stored_already_is_called_back(spine, calls):
    finish(spine.app, "x")
    spine.app.AsyncResult("x").then(calls)
    assert calls.next()[1] == "celeriac-results"


def test_an_end_that_the_handle_knows_is_called_back_at_once_in_this_thread(spine, calls):
    finish(spine.app, "x")
    handle = spine.app.AsyncResult("x")
    handle.get()
    handle.then(calls)
    assert not calls.are_over
    assert calls.next() == (handle, threading.current_thread().name)


def test_an_ignored_result_is_called_back_at_once(spine, calls):
    spine.app.task(ignore_result=True)(lambda: 5).delay().then(calls)
    assert not calls.are_over


def test_an_eager_result_is_called_back_at_once(spine, calls):
    spine.app.task(lambda: 5).apply().then(calls)
    assert calls.next()[0].get() == 5


def test_each_callback_is_called_once_however_many_there_are(spine):
    handles = [spine.app.AsyncResult(str(n)) for n in range(300)]
    calls = [Calls() for _ in range(600)]
    for handle, first, second in zip(handles, calls[::2], calls[1::2], strict=True):
        handle.then(first)
        handle.then(second)
    assert sum(thread.name == "celeriac-results" for thread in threading.enumerate()) == 1
    finish(spine.app, *(handle.id for handle in handles))
    assert [one.next()[0] for one in calls] == [handle for handle in handles for _ in range(2)]
    assert all(one.are_over for one in calls)


def test_what_a_callback_raises_goes_to_on_error(spine, calls):
    def broken(_handle: AsyncResult[Any]) -> None:
        raise ValueError("broken")

    spine.app.AsyncResult("x").then(broken, calls)
    finish(spine.app, "x")
    assert repr(calls.next()[0]) == "ValueError('broken')"


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_callback_that_fails_is_logged_and_others_are_called(spine, calls, caplog, error):
    def broken(_handle: AsyncResult[Any]) -> None:
        raise error("broken")

    spine.app.AsyncResult("x").then(broken)
    spine.app.AsyncResult("y").then(calls)
    finish(spine.app, "x")
    finish(spine.app, "y")
    assert calls.next()[0].id == "y"
    assert "failed" in caplog.text
    assert "broken" in caplog.text


def test_a_callback_may_wait_for_results_and_ask_for_callbacks(spine, calls):
    finish(spine.app, "y")

    def more(_handle: AsyncResult[Any]) -> None:
        assert spine.app.AsyncResult("y").get(DEADLINE) == "y"
        spine.app.AsyncResult("z").then(calls)

    spine.app.AsyncResult("x").then(more, calls)
    finish(spine.app, "x", "z")
    assert calls.next()[0] == spine.app.AsyncResult("z")


def test_a_store_that_is_lost_goes_to_on_error(spine, calls):
    errors = Calls()
    spine.app.ResultSet([spine.app.AsyncResult(task_id) for task_id in "abc"]).then(calls, errors)
    spine.app.close()
    assert isinstance(errors.next()[0], BackendError)
    assert calls.are_over
    assert errors.are_over


def test_a_set_is_called_back_when_all_have_ended(spine, calls):
    results = spine.app.ResultSet([spine.app.AsyncResult(task_id) for task_id in "abc"])
    finish(spine.app, "b")
    results.then(calls)
    finish(spine.app, "c")
    finish(spine.app, "a", state="FAILURE", value=KeyError("k"))
    found, _ = calls.next()
    assert found is results
    assert [handle.end.state for handle in results] == ["FAILURE", "SUCCESS", "SUCCESS"]
    assert calls.are_over


def test_a_group_is_called_back_when_all_in_it_and_in_its_groups_have_ended(spine, calls):
    inner = spine.app.GroupResult("inner", [spine.app.AsyncResult("b"), spine.app.AsyncResult("c")])
    outer = spine.app.GroupResult("outer", [spine.app.AsyncResult("a"), inner])
    outer.then(calls)
    finish(spine.app, "a", "b", "c")
    assert calls.next()[0].get() == ["a", ["b", "c"]]


def test_an_empty_set_is_called_back_at_once(spine, calls):
    spine.app.ResultSet([]).then(calls)
    assert not calls.are_over


def test_a_set_of_two_applications_is_called_back_once(spine: Spine, make_spine, calls):
    other = make_spine()
    apps = [spine.app, other.app] * 10
    results = spine.app.ResultSet([app.AsyncResult(str(n)) for n, app in enumerate(apps)])
    results.then(calls)
    for n, app in enumerate(apps):
        finish(app, str(n))
    assert calls.next()[0] is results
    assert calls.are_over


@can_fork
def test_a_forked_child_calls_nothing_back(spine, calls):
    spine.app.AsyncResult("x").then(calls)
    assert holds_in_a_fork(lambda: not spine.app.reader._group._waiting)
    finish(spine.app, "x")
    assert calls.next()[0].id == "x"


def test_errors_are_thrown_without_waiting(spine):
    handle = spine.app.AsyncResult("x")
    assert handle.maybe_throw() is None
    finish(spine.app, "y")
    finish(spine.app, "x", state="FAILURE", value=KeyError("k"))
    with pytest.raises(KeyError):
        handle.maybe_reraise()
    assert isinstance(handle.maybe_throw(propagate=False), KeyError)
    seen: list[tuple[str, Any]] = []
    with pytest.raises(KeyError):
        spine.app.ResultSet([spine.app.AsyncResult("y"), handle]).maybe_throw(lambda *told: seen.append(told))
    assert seen == [("y", "y")]
