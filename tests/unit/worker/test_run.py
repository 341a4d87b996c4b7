"""Every end that a run can have: what is stored, what becomes of the message, who is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac import Task, signals
from celeriac.exceptions import EncodeError, Ignore, Reject, Retry
from celeriac.worker.limits import ThreadLimits
from celeriac.worker.outcome import Completion, Settle
from tests.unit.spine import Spine

SIGNALS = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")


class Noting(Task):
    """Notes which handlers are called, in order, with the state and the value or error."""

    def before_start(self, task_id, args, kwargs):
        self.noted.append("before_start")

    def on_success(self, retval, task_id, args, kwargs):
        self.noted.append(f"on_success {retval!r}")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.noted.append(f"on_failure {exc!r}")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.noted.append(f"on_retry {exc!r}")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):  # noqa: PLR0913  Celery's
        self.noted.append(f"after_return {status} {retval!r}")


@pytest.fixture
def noted() -> Iterator[list[str]]:
    """Return the list of what handlers and signals said."""
    told: list[str] = []
    receivers = {}
    for name in SIGNALS:

        def receive(name=name, **fields: Any) -> None:
            told.append(f"{name} {fields['state']}" if name == "task_postrun" else name)

        receivers[name] = receive
        getattr(signals, name).connect(receive)
    yield told
    for name, receive in receivers.items():
        getattr(signals, name).disconnect(receive)


class Ending:
    """A task that ended somehow: its completion, and what its caller can read."""

    def __init__(self, spine: Spine, completion: Completion) -> None:
        self.completion = completion
        self.settle = completion.settle
        self.handle = spine.app.AsyncResult("x")


End = Callable[..., Ending]


@pytest.fixture
def end(spine: Spine, noted: list[str]) -> End:
    """Return what runs a function as the task ``x`` and tells how it ended."""

    def run(function: Callable[..., Any], *, sent: dict[str, Any] | None = None, **options: Any) -> Ending:
        task = spine.app.task(**{"base": Noting, "bind": True, "name": "work", "noted": noted, **options})(function)
        task.apply_async((1,), **{"task_id": "x", **(sent or {})})
        job = spine.job()
        runs = job.runner
        completion = asyncio.run(runs.run_async(job, lambda: None)) if runs.is_async else runs.run(job, ThreadLimits())
        spine.carry_out(completion)
        return Ending(spine, completion)

    return run


def raising(error: BaseException) -> Callable[..., Any]:
    def function(self: Task[..., Any], x: int) -> Any:
        raise error

    return function


# -- the ends ----------------------------------------------------------------------------------------------------------


def test_a_value_is_stored_and_the_message_acknowledged(end, noted):
    ended = end(lambda self, x: x + 1)
    assert (ended.handle.state, ended.handle.get(), ended.settle) == ("SUCCESS", 2, Settle.ACK)
    assert noted == [
        "task_prerun", "before_start", "on_success 2", "task_success", "after_return SUCCESS 2", "task_postrun SUCCESS",
    ]  # fmt: skip


def test_an_error_is_stored_with_its_traceback_and_the_message_acknowledged(end, noted):
    ended = end(raising(KeyError("k")))
    assert (ended.handle.state, repr(ended.handle.result)) == ("FAILURE", "KeyError('k')")
    assert ended.settle is Settle.ACK
    assert noted == [
        "task_prerun", "before_start", "on_failure KeyError('k')", "task_failure",
        "after_return FAILURE KeyError('k')", "task_postrun FAILURE",
    ]  # fmt: skip


def test_a_traceback_begins_in_the_user_s_code(end):
    told = end(raising(KeyError("k"))).handle.traceback
    assert told.startswith("Traceback (most recent call last):\n")
    assert "test_run.py" in told.splitlines()[1]
    assert "worker/run.py" not in told


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), MemoryError()], ids=repr
)
def test_whatever_a_task_raises_is_an_end_and_not_the_engine_s(end, error):
    ended = end(raising(error))
    assert (ended.handle.state, ended.settle) == ("FAILURE", Settle.ACK)
    assert type(error).__name__ in repr(ended.handle.result)


def test_a_retry_stores_its_reason_and_puts_a_new_message_in_the_old_one_s_place(end, noted):
    def function(self: Task[..., Any], x: int) -> None:
        raise self.retry(exc=ValueError("v"), countdown=1)

    ended = end(function)
    assert (ended.handle.state, repr(ended.handle.result)) == ("RETRY", "ValueError('v')")
    assert (ended.settle, len(ended.completion.follow_ups)) == (Settle.ACK, 1)
    assert noted == ["task_prerun", "before_start", "on_retry ValueError('v')", "task_retry", "task_postrun RETRY"]


def test_a_retry_has_a_traceback_even_if_its_reason_was_never_raised(end):
    def function(self: Task[..., Any], x: int) -> None:
        raise self.retry(exc=ValueError("v"))

    assert "in function" in end(function).handle.traceback


def test_a_retry_made_by_hand_has_no_message_to_follow_and_fails(end):
    ended = end(raising(Retry("by hand")))
    assert (ended.handle.state, ended.completion.follow_ups) == ("FAILURE", [])


def test_ignore_leaves_the_state_as_the_task_has_set_it(end, noted):
    def function(self: Task[..., Any], x: int) -> None:
        self.update_state(state="MINE", meta=5)
        raise Ignore

    ended = end(function)
    assert (ended.handle.state, ended.handle.result, ended.settle) == ("MINE", 5, Settle.ACK)
    assert noted == ["task_prerun", "before_start", "task_postrun IGNORED"]


def test_reject_makes_a_dead_letter_and_a_failure_so_that_nobody_waits_in_vain(spine, end, noted):
    ended = end(raising(Reject("no use")))
    assert (ended.settle, ended.completion.reason) == (Settle.REJECT, "rejected by the task: no use")
    assert ended.handle.state == "FAILURE"
    assert spine.app.broker.stats(["celery"])["celery"].dead == 1
    assert noted == ["task_prerun", "before_start", "task_failure", "task_postrun REJECTED"]


def test_reject_with_requeue_gives_the_message_back(spine, end, noted):
    ended = end(raising(Reject("later", requeue=True)))
    assert (ended.settle, ended.handle.state) == (Settle.REQUEUE, "PENDING")
    assert len(spine.taken()) == 1
    assert noted == ["task_prerun", "before_start", "task_postrun REJECTED"]


@pytest.mark.parametrize(
    ("value", "says"),
    [(object(), "object at result"), ({"a": {"__type__": "x", "__value__": 1}}, "dict at result.a as json .*'x'")],
)
def test_a_value_that_cannot_be_written_fails_the_task_and_is_not_tried_again(end, value, says):
    ended = end(lambda self, x: value, autoretry_for=(Exception,))
    assert ended.handle.state == "FAILURE"
    assert isinstance(ended.handle.result, EncodeError)
    assert re.search(says, str(ended.handle.result))
    assert ended.completion.follow_ups == []


@pytest.mark.parametrize("make", [lambda: "v" * 900, lambda: 1 / 0], ids=["value", "error"])
def test_an_end_that_is_too_large_to_store_is_stored_as_an_error(make_spine, make):
    spine = make_spine(result_max_bytes=200)
    spine.app.task(name="work")(make).apply_async(task_id="x")
    assert spine.run().settle is Settle.ACK
    assert spine.app.AsyncResult("x").state == "FAILURE"


# -- what the user's code can do to an end -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1)])
@pytest.mark.parametrize("handler", ["on_success", "after_return"])
def test_a_handler_that_errs_is_logged_and_changes_nothing(end, caplog, handler, error):
    def err(self, *args):
        raise error

    base = type("Erring", (Task,), {handler: err})
    ended = end(lambda self, x: 5, base=base)
    assert (ended.handle.get(), ended.settle) == (5, Settle.ACK)
    assert "Task work[x]: its handler err failed" in caplog.text


def test_before_start_that_errs_fails_the_task_before_it_runs(end):
    ran = []
    base = type("Erring", (Task,), {"before_start": lambda self, *args: 1 / 0})
    ended = end(lambda self, x: ran.append(x), base=base)
    assert (repr(ended.handle.result), ran) == ("ZeroDivisionError('division by zero')", [])


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("error", [Unprintable(), Reject(Unprintable()), Retry(exc=Unprintable())], ids=str.__name__)
def test_an_error_that_cannot_be_shown_is_an_end_like_any_other(end, error):
    assert end(raising(error)).handle.state == "FAILURE"


def test_errors_that_are_part_of_the_contract_are_a_line_without_a_traceback(end, caplog):
    caplog.set_level("INFO", "celeriac.task")
    end(raising(KeyError("k")), throws=(KeyError,))
    assert "Task work[x] raised expected: KeyError('k')" in caplog.text
    assert "Traceback" not in caplog.text


def test_other_errors_are_logged_with_a_traceback(end, caplog):
    end(raising(KeyError("k")))
    assert "Task work[x] raised unexpected: KeyError('k')\nTraceback" in caplog.text
    assert not caplog.records[-1].getMessage().endswith("\n")
    assert "Traceback" in caplog.text


# -- coroutines that are cancelled -------------------------------------------------------------------------------------


def test_a_coroutine_that_the_engine_cancels_is_given_back(spine):
    started = asyncio.Event()

    @spine.app.task(name="work")
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    work.apply_async(task_id="x")
    job = spine.job()

    async def run_and_cancel() -> Completion:
        running = asyncio.ensure_future(job.runner.run_async(job, lambda: 0.0))
        await started.wait()
        running.cancel()
        return await running

    completion = asyncio.run(run_and_cancel())
    assert (completion.settle, completion.record) == (Settle.REQUEUE, None)
    spine.carry_out(completion)
    assert len(spine.taken()) == 1


def test_a_coroutine_that_cancels_itself_has_failed_and_is_not_run_again(end):
    async def function(self: Task[..., Any], x: int) -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(0)

    ended = end(function)
    assert (ended.handle.state, ended.settle) == ("FAILURE", Settle.ACK)
    assert "CancelledError" in repr(ended.handle.result)


def test_a_coroutine_whose_own_work_was_cancelled_has_failed(end):
    async def function(self: Task[..., Any], x: int) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    ended = end(function)
    assert (ended.handle.state, ended.settle) == ("FAILURE", Settle.ACK)
    assert "CancelledError" in repr(ended.handle.result)
