"""`Task.apply`: a task that runs in the caller, with all that belongs to a run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from celeriac import Task, signals
from celeriac.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
from celeriac.result import EagerResult
from tests.unit.spine import Spine

SIGNALS = (signals.task_prerun, signals.task_postrun, signals.task_success, signals.task_failure, signals.task_retry)


def test_it_returns_the_result_that_is_there_already(spine: Spine) -> None:
    @spine.app.task
    def add(x: int, y: int) -> int:
        return x + y

    result = add.apply((2,), {"y": 3}, task_id="mine")
    assert isinstance(result, EagerResult)
    assert (result.id, result.state, result.ready(), result.successful()) == ("mine", "SUCCESS", True, True)
    assert result.get() == result.result == 5
    assert asyncio.run(result.aget()) == 5


def test_nothing_is_sent_and_nothing_is_stored(spine: Spine) -> None:
    @spine.app.task(bind=True)
    def note(self: Any) -> None:
        self.update_state(state="PROGRESS", meta={"done": 1})

    result = note.apply()
    assert spine.taken() == []
    assert spine.app.AsyncResult(result.id).state == "PENDING"


def test_the_request_says_that_it_runs_in_the_caller(spine: Spine) -> None:
    @spine.app.task(bind=True)
    def look(self: Any, x: int) -> dict[str, Any]:
        request = self.request
        names = ("id", "task", "args", "kwargs", "retries", "is_eager", "called_directly", "headers", "loglevel")
        return {name: getattr(request, name) for name in names} | {"info": request.delivery_info}

    seen = look.apply((1,), task_id="a", retries=2, headers={"tenant": "x"}, loglevel=20).get()
    assert seen == {
        "id": "a", "task": look.name, "args": (1,), "kwargs": {}, "retries": 2, "is_eager": True,
        "called_directly": False, "headers": {"tenant": "x"}, "loglevel": 20, "info": {"is_eager": True},
    }  # fmt: skip


def test_arguments_are_handed_over_as_they_are(spine: Spine) -> None:
    @spine.app.task
    def same(x: object) -> object:
        return x

    thing = object()
    assert same.apply((thing,)).get() is thing


def test_unknown_options_are_refused(spine: Spine) -> None:
    @spine.app.task
    def nothing() -> None: ...

    with pytest.raises(TypeError, match="colour"):
        nothing.apply(colour="x")  # type: ignore[call-arg]


def test_a_failure_is_raised_by_get_as_it_was_raised_in_the_task(spine: Spine) -> None:
    error = ValueError("no")

    @spine.app.task
    def fail() -> None:
        raise error

    result = fail.apply()
    assert (result.state, result.failed(), result.result) == ("FAILURE", True, error)
    assert result.traceback is not None
    assert "raise error" in result.traceback
    assert "eager.py" not in result.traceback
    assert result.get(propagate=False) is error
    with pytest.raises(ValueError, match="no") as caught:
        result.get()
    assert caught.value is error
    assert not hasattr(error, "__notes__")


def test_throw_raises_at_once(spine: Spine) -> None:
    @spine.app.task
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail.apply(throw=True)
    spine.app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="no"):
        fail.apply()
    assert fail.apply(throw=False).failed()


def test_what_is_no_ordinary_error_goes_through_to_the_caller(spine: Spine) -> None:
    @spine.app.task
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leave.apply()


def test_retries_follow_at_once(spine: Spine) -> None:
    tries = []

    @spine.app.task(bind=True, max_retries=3, default_retry_delay=3600)
    def again(self: Any, enough: int) -> str:
        tries.append((self.request.id, self.request.retries))
        if self.request.retries < enough:
            raise self.retry(exc=ValueError("not yet"))
        return "done"

    assert again.apply((2,), task_id="a").get() == "done"
    assert tries == [("a", 0), ("a", 1), ("a", 2)]
    result = again.apply((9,))
    assert len(tries) == 3 + 4
    with pytest.raises(ValueError, match="not yet"):
        result.get()


def test_a_retry_takes_over_new_arguments(spine: Spine) -> None:
    @spine.app.task(bind=True)
    def again(self: Any, x: object) -> object:
        if self.request.retries == 0:
            raise self.retry(args=(thing,), throw=False)
        return x

    thing = object()
    assert again.apply((1,)).get() is thing


def test_a_task_without_a_limit_of_retries_is_not_tried_for_ever(spine: Spine) -> None:
    @spine.app.task(bind=True, max_retries=None)
    def never(self: Any) -> None:
        raise self.retry()

    with pytest.raises(MaxRetriesExceededError, match="set max_retries"):
        never.apply()


def test_automatic_retries_follow_at_once_too(spine: Spine) -> None:
    tries = []

    @spine.app.task(autoretry_for=(KeyError,), retry_backoff=60, max_retries=2)
    def fetch(enough: int) -> str:
        tries.append(1)
        if len(tries) < enough:
            raise KeyError("k")
        return "done"

    assert fetch.apply((2,)).get() == "done"
    tries.clear()
    assert isinstance(fetch.apply((9,)).result, KeyError)
    assert len(tries) == 3


def test_a_retry_is_raised_where_errors_are(spine: Spine) -> None:
    @spine.app.task(bind=True)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError("not yet"))

    with pytest.raises(Retry):
        again.apply(throw=True)


@pytest.mark.parametrize(("error", "state"), [(Ignore(), "IGNORED"), (Reject("no"), "REJECTED")])
@pytest.mark.parametrize("throw", [True, False])
def test_ignored_and_rejected_are_ends_without_a_value(
    spine: Spine, error: Exception, state: str, *, throw: bool
) -> None:
    @spine.app.task
    def end() -> None:
        raise error

    result = end.apply(throw=throw)
    assert (result.state, result.ready(), result.get()) == (state, True, None)


@pytest.fixture
def noted(spine: Spine) -> Any:
    """Return the names of signals that are sent and handlers that are called."""
    seen: list[str] = []

    def note(signal: signals.Signal, **fields: Any) -> None:
        seen.append(f"{signal.name} {fields['state']}" if "state" in fields else signal.name)

    for signal in SIGNALS:
        signal.connect(note)
    yield seen
    for signal in SIGNALS:
        signal.disconnect(note)


class Telling(Task[..., Any]):
    seen: list[str]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("__call__")
        return super().__call__(*args, **kwargs)

    def before_start(self, *_: Any) -> None:
        self.seen.append("before_start")

    def on_success(self, *_: Any) -> None:
        self.seen.append("on_success")

    def on_failure(self, exc: BaseException, *_: Any) -> None:
        self.seen.append(f"on_failure {exc!r} {'Traceback' in str(_[-1])}")

    def on_retry(self, exc: BaseException, *_: Any) -> None:
        self.seen.append(f"on_retry {exc!r}")

    def after_return(self, status: str, *_: Any) -> None:
        self.seen.append(f"after_return {status}")


def test_signals_and_handlers_tell_of_a_run_as_in_a_worker(spine: Spine, noted: list[str]) -> None:
    @spine.app.task(base=Telling, bind=True, seen=noted)
    def work(self: Any) -> int:
        if self.request.retries == 0:
            raise self.retry(exc=ValueError("v"))
        return 1

    assert work.apply().get() == 1
    begin = ["task_prerun", "before_start", "__call__"]
    assert noted == [
        *begin, "on_retry ValueError('v')", "task_retry", "task_postrun RETRY",
        *begin, "on_success", "task_success", "after_return SUCCESS", "task_postrun SUCCESS",
    ]  # fmt: skip


def test_signals_and_handlers_tell_of_a_failure(spine: Spine, noted: list[str]) -> None:
    @spine.app.task(base=Telling, seen=noted)
    def work() -> None:
        raise ValueError("v")

    work.apply()
    ends = ["on_failure ValueError('v') True", "task_failure", "after_return FAILURE", "task_postrun FAILURE"]
    assert noted == ["task_prerun", "before_start", "__call__", *ends]


def test_an_error_in_a_handler_is_the_callers(spine: Spine) -> None:
    class Broken(Task[..., Any]):
        def on_success(self, *_: Any) -> None:
            raise KeyError("handler")

    @spine.app.task(base=Broken)
    def work() -> None: ...

    with pytest.raises(KeyError, match="handler"):
        work.apply()


def test_a_coroutine_runs_in_a_loop_of_its_own(spine: Spine) -> None:
    @spine.app.task(bind=True)
    async def ask(self: Any, x: int) -> tuple[str, int, str]:
        await asyncio.sleep(0)
        return self.request.id, x, threading.current_thread().name

    task_id, x, thread = ask.apply((3,), task_id="a").get()
    assert (task_id, x, thread) == ("a", 3, threading.current_thread().name)

    async def within_a_loop() -> tuple[str, int, str]:
        return ask.apply((4,), task_id="b").get()

    task_id, x, thread = asyncio.run(within_a_loop())
    assert (task_id, x) == ("b", 4)
    assert thread.startswith("celeriac-eager")


def test_a_coroutine_can_be_tried_again(spine: Spine) -> None:
    @spine.app.task(bind=True)
    async def ask(self: Any) -> int:
        if self.request.retries == 0:
            raise self.retry()
        return int(self.request.retries)

    assert ask.apply().get() == 1
