"""``task_always_eager``: what would be sent runs in the caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from celeriac import signals
from celeriac.exceptions import AlwaysEagerIgnored, EncodeError
from celeriac.result import AsyncResult, EagerResult
from tests.unit.spine import Spine


@pytest.fixture
def eager(make_spine: Any) -> Spine:
    spine: Spine = make_spine(task_always_eager=True)
    return spine


def test_delay_and_apply_async_run_the_task(eager: Spine) -> None:
    @eager.app.task
    def add(x: int, y: int) -> int:
        return x + y

    assert isinstance(add.delay(1, 2), EagerResult)
    assert add.delay(1, 2).get() == 3
    result = add.apply_async((1,), {"y": 4}, task_id="a", countdown=3600, queue="elsewhere")
    assert (result.id, result.get()) == ("a", 5)
    assert eager.taken("celery", "elsewhere") == []


def test_bulks_and_coroutines_run_the_task_too(eager: Spine) -> None:
    @eager.app.task
    def double(x: int) -> int:
        return 2 * x

    async def send() -> int:
        return await (await double.adelay(4)).aget()

    assert [result.get() for result in double.delay_many([(1,), (2,)])] == [2, 4]
    assert asyncio.run(send()) == 8


def test_arguments_go_through_the_serializer(eager: Spine) -> None:
    @eager.app.task
    def same(x: Any) -> Any:
        return x

    assert same.delay((1, 2)).get() == [1, 2]
    assert same.apply_async(((1, 2),), serializer="pickle").get() == (1, 2)
    with pytest.raises(EncodeError, match=r"argument 0 as json"):
        same.delay(object())


def test_a_wrong_call_is_an_error_in_the_caller(eager: Spine) -> None:
    @eager.app.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(TypeError, match="missing"):
        add.delay(1)  # type: ignore[call-arg]


def test_errors_are_raised_in_the_caller_where_settings_say_so(eager: Spine) -> None:
    @eager.app.task
    def fail() -> None:
        raise ValueError("no")

    assert fail.delay().failed()
    eager.app.conf.task_eager_propagates = True
    with pytest.raises(ValueError, match="no"):
        fail.delay()


def test_a_task_may_not_wait_for_another_as_in_a_worker(eager: Spine) -> None:
    @eager.app.task
    def one() -> int:
        return 1

    @eager.app.task
    def waits() -> int:
        return one.delay().get()

    assert isinstance(waits.delay().result, RuntimeError)
    assert waits.apply().get() == 1


def test_results_are_stored_where_settings_say_so(make_spine: Any) -> None:
    spine = make_spine(task_always_eager=True, task_store_eager_result=True)

    @spine.app.task
    def one() -> int:
        return 1

    @spine.app.task
    def fail() -> None:
        raise ValueError("no")

    @spine.app.task(ignore_result=True)
    def ignored() -> None: ...

    @spine.app.task(bind=True)
    def says(self: Any) -> Any:
        self.update_state(state="PROGRESS", meta=[1])
        return spine.app.AsyncResult(self.request.id).state

    def stored(result: AsyncResult[Any]) -> tuple[str, str]:
        known = spine.app.AsyncResult(result.id)
        return known.state, repr(known.result)

    assert stored(one.delay()) == ("SUCCESS", "1")
    assert stored(fail.delay()) == ("FAILURE", "ValueError('no')")
    assert stored(ignored.delay()) == ("PENDING", "None")
    assert says.delay().get() == "PROGRESS"


def test_no_signal_of_sending_is_sent(eager: Spine) -> None:
    @eager.app.task
    def one() -> int:
        return 1

    sent = []

    def note(**fields: Any) -> None:
        sent.append(fields)

    signals.before_task_publish.connect(note)
    try:
        one.delay()
    finally:
        signals.before_task_publish.disconnect(note)
    assert sent == []


def test_a_task_known_by_name_alone_is_sent_with_a_warning(eager: Spine) -> None:
    with pytest.warns(AlwaysEagerIgnored, match=r"proj\.add is sent"):
        eager.app.send_task("proj.add", (1, 2))
    assert eager.call().name == "proj.add"


def test_no_broker_is_needed(make_spine: Any) -> None:
    spine = make_spine(broker="redis://127.0.0.1:1/0", task_always_eager=True)

    @spine.app.task
    def one() -> int:
        return 1

    assert one.delay().get() == 1
