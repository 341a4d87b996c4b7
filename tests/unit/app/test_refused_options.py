"""Options that no worker could read, or that mean nothing, are refused where they were written: by the sender."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from celeriac import Task
from celeriac.result import AsyncResult
from tests.unit.spine import Spine

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def task(spine: Spine) -> Task[..., object]:
    @spine.app.task(name="work")
    def work(*args: object, **kwargs: object) -> None: ...

    return work


WRONG_TYPES = [
    {"priority": 1.5},
    {"priority": True},
    {"priority": "x"},
    {"reply_to": 5},
    {"task_id": 5},
    {"task_id": uuid.UUID(int=1)},
    {"root_id": 5},
    {"parent_id": 5},
    {"group_id": 5},
    {"group_index": "first"},
    {"group_index": True},
    {"shadow": 5},
    {"argsrepr": []},
    {"kwargsrepr": {}},
    {"routing_key": 5},
    {"serializer": 5},
    {"compression": True},
    {"ignore_result": "yes"},
    {"countdown": "soon"},
    {"countdown": True},
    {"countdown": []},
    {"time_limit": "long"},
    {"soft_time_limit": True},
    {"headers": ["x"]},
    {"headers": {5: "x"}},
    {"retry_policy": 5},
    {"queue": 5},
    {"exchange": 5},
]

WRONG_VALUES = [
    {"priority": 256},
    {"priority": -5},
    {"task_id": "half a character: \ud800"},
    {"task_id": "a\0b"},
    {"reply_to": "\udcff"},
    {"queue": "a\0b"},
    {"routing_key": "\ud800"},
    {"countdown": 1e300},
    {"countdown": 10**400},
    {"countdown": NAN},
    {"countdown": INF},
    {"countdown": -INF},
    {"expires": NAN},
    {"expires": INF},
    {"expires": 1e300},
    {"expires": timedelta.max},
    {"time_limit": NAN},
    {"time_limit": INF},
    {"time_limit": -1},
    {"soft_time_limit": NAN},
]


@pytest.mark.parametrize("options", WRONG_TYPES, ids=str)
def test_an_option_of_the_wrong_type_is_refused_by_name(spine, task, options):
    (name,) = options
    with pytest.raises(TypeError, match=rf"^work: {name}="):
        task.apply_async(**options)
    assert spine.app.broker.stats(["celery"])["celery"].ready == 0


@pytest.mark.parametrize("options", WRONG_VALUES, ids=ascii)
def test_an_option_that_cannot_be_is_refused_by_name(spine, task, options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"^work: {name}="):
        task.apply_async(**options)
    assert spine.app.broker.stats(["celery"])["celery"].ready == 0


@pytest.mark.parametrize(
    "policy",
    [
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"max_retries": "x"},
        {"interval_start": -1},
        {"interval_step": NAN},
        {"interval_max": INF},
        {"interval_max": "x"},
        {"bogus": 1},
    ],
    ids=str,
)
def test_a_retry_policy_that_cannot_be_is_refused(task, policy):
    with pytest.raises(ValueError, match=r"retry_policy=\{"):
        task.apply_async(retry_policy=policy)


def test_what_only_celery_s_publisher_knows_of_a_retry_policy_is_accepted(spine, task):
    task.apply_async(retry_policy={"retry_errors": None, "timeout": 3, "max_retries": 0})
    assert spine.call().name == "work"


@pytest.mark.parametrize("priority", [0, 9, 255])
def test_a_priority_is_a_whole_number_that_amqp_can_carry(spine, task, priority):
    task.apply_async(priority=priority)
    assert spine.delivery().priority == priority


@pytest.mark.parametrize("name", ["", "a\0b", "half a character: \ud800"])
def test_a_name_that_cannot_be_written_is_refused(spine, name):
    with pytest.raises(ValueError, match="cannot be the name of a task"):
        spine.app.send_task(name)


def test_a_name_that_is_no_text_is_refused(spine):
    with pytest.raises(TypeError, match="name must be text"):
        spine.app.send_task(5)


def test_names_and_ids_of_every_script_are_sent(spine):
    spine.app.send_task("работа", task_id="仕事 \u00a0🍀")
    assert (call := spine.call()).name == "работа"
    assert call.id == "仕事 \u00a0🍀"


def test_options_that_a_route_adds_are_checked_too(make_spine):
    spine = make_spine(task_routes={"work": {"queue": "other", "priority": "x"}})
    with pytest.raises(TypeError, match=r"^work: priority='x'"):
        spine.app.send_task("work")


def test_options_that_the_task_states_are_checked_too(spine):
    @spine.app.task(name="work", priority=1)
    def work() -> None: ...

    work.priority = "x"
    with pytest.raises(TypeError, match=r"^work: priority='x'"):
        work.delay()


def test_a_call_that_is_tried_again_is_checked_too(spine):
    @spine.app.task(name="work", bind=True)
    def work(self) -> None:
        self.retry(countdown=NAN)

    result = work.delay()
    spine.run()
    with pytest.raises(ValueError, match="countdown=nan"):
        result.get(timeout=1)


def test_waiting_for_a_time_that_is_no_number_is_refused(spine):
    with pytest.raises(ValueError, match="timeout=nan"):
        spine.app.AsyncResult("x").get(timeout=NAN)


async def refused(result: AsyncResult[object]) -> None:
    with pytest.raises(ValueError, match="timeout=nan"):
        await result.aget(timeout=NAN)


def test_awaiting_for_a_time_that_is_no_number_is_refused(spine):
    import asyncio

    asyncio.run(refused(spine.app.AsyncResult("x")))
