"""What a caller sees of a task's end."""

from __future__ import annotations

import asyncio
import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from celeriac import Task
from celeriac.exceptions import RemoteError, TaskRevokedError, TimeoutError
from celeriac.result import AsyncResult, allow_join_result
from celeriac.testing.clock import EPOCH
from celeriac.wire.results import TaskResult
from tests.unit.spine import Spine


def finish(spine: Spine, state: str = "SUCCESS", result: Any = None, **fields: Any) -> AsyncResult[Any]:
    """Store an end for the task ``x``; return its handle."""
    spine.app.writer.store([spine.app.writer.record(TaskResult(task_id="x", state=state, result=result, **fields))])
    return spine.app.AsyncResult("x")


def test_get_returns_the_value(spine):
    assert finish(spine, result={"a": [1]}).get() == {"a": [1]}


def test_get_raises_what_the_task_raised_with_the_worker_s_traceback_in_its_notes(spine):
    handle = finish(spine, "FAILURE", KeyError("k"), traceback="Traceback: line 1\n")
    with pytest.raises(KeyError, match="k") as raised:
        handle.get()
    assert raised.value.__notes__ == ["\nTraceback of the worker:\nTraceback: line 1\n"]


def test_asking_twice_adds_the_traceback_once(spine):
    handle = finish(spine, "FAILURE", KeyError("k"), traceback="Traceback: line 1\n")
    for _ in range(3):
        with pytest.raises(KeyError) as raised:
            handle.get()
    assert len(raised.value.__notes__) == 1


def test_without_propagation_the_exception_is_returned(spine):
    assert repr(finish(spine, "FAILURE", ValueError("v")).get(propagate=False)) == "ValueError('v')"


def test_a_task_that_was_revoked_raises_that(spine):
    with pytest.raises(TaskRevokedError, match="expired"):
        finish(spine, "REVOKED", TaskRevokedError("expired")).get()


def test_a_failure_without_an_exception_is_an_error_all_the_same(spine):
    with pytest.raises(RemoteError, match="Task x ended as FAILURE without an exception: None"):
        finish(spine, "FAILURE", None).get()


def test_a_result_that_does_not_come_in_time_is_an_error_that_says_what_to_look_at(spine):
    with pytest.raises(TimeoutError, match=r"No result of task x after 0\.01 s\..*celeriac queues"):
        spine.app.AsyncResult("x").get(timeout=0.01)
    assert AsyncResult.TimeoutError is TimeoutError


def test_an_ignored_result_is_none_at_once(spine):
    task = spine.app.task(ignore_result=True)(lambda: 5)
    assert task.delay().get() is None
    assert asyncio.run(task.delay().aget()) is None


def test_a_callback_is_called_with_id_and_value(spine):
    seen = []
    finish(spine, result=5).get(callback=lambda task_id, value: seen.append((task_id, value)))
    assert seen == [("x", 5)]


def test_celery_s_options_of_polling_are_accepted(spine):
    assert finish(spine, result=5).get(interval=0.1, no_ack=True, follow_parents=True) == 5


def test_waiting_inside_a_task_is_refused(spine):
    @spine.app.task
    def waits() -> None:
        spine.app.AsyncResult("x").get(timeout=0)

    finish(spine, result=5)
    result = waits.delay()
    spine.run()
    with pytest.raises(RuntimeError, match=r"Never call result\.get\(\) within a task"):
        result.get()


@pytest.mark.parametrize("how", ["allow", "option"])
def test_waiting_inside_a_task_may_be_allowed(spine, how):
    @spine.app.task
    def waits() -> object:
        handle = spine.app.AsyncResult("x")
        if how == "option":
            return handle.get(disable_sync_subtasks=False)
        with allow_join_result():
            return handle.get()

    finish(spine, result=5)
    result = waits.delay()
    spine.run()
    assert result.get() == 5


def test_after_a_run_waiting_is_allowed_again(spine):
    spine.app.task(name="work")(lambda: 1).delay()
    spine.run()
    assert finish(spine, result=5).get() == 5


def test_a_coroutine_may_await_the_end(spine):
    async def wait() -> list[Any]:
        return await asyncio.gather(*(spine.app.AsyncResult("x").aget(timeout=5) for _ in range(20)))

    finish(spine, result=5)
    assert asyncio.run(wait()) == [5] * 20


def test_a_coroutine_waits_no_longer_than_it_says(spine):
    with pytest.raises(TimeoutError, match="No result of task x after 0 s"):
        asyncio.run(spine.app.AsyncResult("x").aget(timeout=0))


def test_a_coroutine_gets_the_task_s_exception(spine):
    with pytest.raises(KeyError):
        asyncio.run(finish(spine, "FAILURE", KeyError("k")).aget())
    assert isinstance(asyncio.run(spine.app.AsyncResult("x").aget(propagate=False)), KeyError)


# -- what is known of a task -------------------------------------------------------------------------------------------


def test_an_id_that_nobody_knows_is_pending(spine):
    handle = spine.app.AsyncResult("x")
    assert (handle.state, handle.status, handle.result, handle.info) == ("PENDING", "PENDING", None, None)
    assert not handle.ready()
    assert not handle.exists()


@pytest.mark.parametrize(
    ("state", "ready", "successful", "failed"),
    [
        ("SUCCESS", True, True, False),
        ("FAILURE", True, False, True),
        ("REVOKED", True, False, False),
        ("STARTED", False, False, False),
        ("RETRY", False, False, False),
        ("MY OWN", False, False, False),
    ],
)
def test_states_are_told_apart(spine, state, ready, successful, failed):
    handle = finish(spine, state)
    assert (handle.ready(), handle.successful(), handle.failed()) == (ready, successful, failed)
    assert handle.exists()


def test_a_state_on_the_way_is_read_anew_and_an_end_is_kept(spine):
    handle = finish(spine, "PROGRESS", {"done": 1})
    assert handle.info == {"done": 1}
    finish(spine, "PROGRESS", {"done": 2})
    assert handle.info == {"done": 2}
    finish(spine, result="end")
    assert handle.result == "end"
    spine.app.results.forget(["x"])
    assert (handle.result, handle.ready()) == ("end", True)


def test_forget_removes_the_result(spine):
    handle = finish(spine, result=5)
    assert handle.get() == 5
    handle.forget()
    assert handle.state == "PENDING"


def test_extended_results_tell_of_the_call(make_spine):
    spine = make_spine(result_extended=True)
    spine.app.task(name="work")(lambda x, y=0: x).apply_async((1,), {"y": 2}, task_id="x", queue="apart")
    spine.run("apart")
    handle = spine.app.AsyncResult("x")
    assert (handle.name, handle.args, handle.kwargs, handle.retries) == ("work", [1], {"y": 2}, 0)
    assert (handle.worker, handle.queue) == ("celery@here", "apart")
    assert handle.date_done == datetime.fromtimestamp(EPOCH, UTC)


def test_plain_results_do_not(spine):
    spine.app.task(name="work")(lambda: 1).apply_async(task_id="x")
    spine.run()
    handle = spine.app.AsyncResult("x")
    assert (handle.name, handle.args, handle.worker) == (None, None, None)


def test_handles_are_equal_by_id_and_show_it(spine):
    one, same, other = (spine.app.AsyncResult(task_id) for task_id in ("a", "a", "b"))
    assert one == same != other
    assert len({one, same, other}) == 2
    assert (str(one), repr(one), one.task_id) == ("a", "<AsyncResult: a>", "a")
    assert one == "a"


def test_the_nested_form_names_the_parents(spine):
    parent = spine.app.AsyncResult("p")
    child = AsyncResult("c", spine.app.reader, parent=parent)
    assert child.as_tuple() == (("c", (("p", None), None)), None)


def test_a_task_makes_handles_too(spine):
    task: Task[[], int] = spine.app.task(lambda: 5)
    finish(spine, result=5)
    assert task.AsyncResult("x").get() == 5


def test_a_handle_may_be_copied(spine):
    assert copy.copy(finish(spine, result=5)).get() == 5
