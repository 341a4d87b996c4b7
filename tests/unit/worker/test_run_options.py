"""What options change about a run, and what a running task knows of its call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from celeriac import Task
from celeriac.worker.outcome import Completion, Settle
from tests.unit.spine import NODE

# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "option", "settle"),
    [
        ({}, None, Settle.ACK),
        ({}, False, Settle.REJECT),
        ({"task_acks_on_failure_or_timeout": False}, None, Settle.REJECT),
        ({"task_acks_on_failure_or_timeout": False}, True, Settle.ACK),
        ({"task_acks_on_failure": False}, None, Settle.REJECT),
        ({"task_acks_on_failure": True, "task_acks_on_failure_or_timeout": False}, None, Settle.ACK),
    ],
)
def test_the_message_of_a_failed_task_is_acknowledged_or_a_dead_letter(make_spine, settings, option, settle):
    spine = make_spine(**settings)
    spine.app.task(name="work", acks_on_failure_or_timeout=option)(lambda: 1 / 0).apply_async(task_id="x")
    completion = spine.run()
    assert completion.settle is settle
    assert spine.app.AsyncResult("x").state == "FAILURE"
    assert spine.app.broker.stats(["celery"])["celery"].dead == (settle is Settle.REJECT)


def test_without_acknowledgement_on_failure_a_success_is_acknowledged(spine):
    spine.app.task(name="work", acks_on_failure_or_timeout=False)(lambda: 1).delay()
    assert spine.run().settle is Settle.ACK


@pytest.mark.parametrize(("setting", "option", "late"), [(True, None, True), (True, False, False), (False, True, True)])
def test_a_task_or_the_setting_says_when_it_is_acknowledged(make_spine, setting, option, late):
    spine = make_spine(task_acks_late=setting)
    task = spine.app.task(name="work", acks_late=option)(lambda: 1)
    task.delay()
    assert spine.runner(task).acks_late is late
    assert (spine.run().lease is not None) is late


@pytest.mark.parametrize("stores_errors", [True, False])
def test_an_ignored_result_is_not_stored_but_an_error_may_be(spine, stores_errors):
    task = spine.app.task(name="work", ignore_result=True, store_errors_even_if_ignored=stores_errors)(lambda x: 1 / x)
    task.apply_async((1,), task_id="good")
    assert spine.run().record is None
    task.apply_async((0,), task_id="bad")
    spine.run()
    assert spine.app.AsyncResult("bad").state == ("FAILURE" if stores_errors else "PENDING")


def test_a_call_may_ask_for_the_result_of_a_task_that_ignores_them(spine):
    task = spine.app.task(name="work", ignore_result=True)(lambda: 5)
    result = task.apply_async(ignore_result=False)
    spine.run()
    assert result.get() == 5


def test_where_no_results_are_kept_nothing_is_written(make_spine):
    spine = make_spine(backend="disabled://")
    spine.app.task(name="work")(object).delay()
    assert spine.run().record is None


@pytest.mark.parametrize(
    ("setting", "option", "ignored", "stored"),
    [(False, None, False, False), (True, None, False, True), (False, True, False, True), (True, None, True, False)],
)
def test_that_a_task_has_started_is_stored_where_wanted(make_spine, setting, option, ignored, stored):
    spine = make_spine(task_track_started=setting)
    spine.app.task(name="work", track_started=option, ignore_result=ignored)(lambda: 5).apply_async(task_id="x")
    job = spine.job()
    record = job.runner.started_record(job.call)
    assert (record is not None) is stored
    if record is not None:
        spine.app.writer.store([record])
        assert spine.app.AsyncResult("x").state == "STARTED"
        assert spine.app.AsyncResult("x").info["hostname"] == NODE


class Limits:
    """Soft limits that are never reached; `armed` notes them."""

    def __init__(self) -> None:
        self.armed: list[float | None] = []

    def arm(self, seconds: float | None, tag: str = "") -> None:
        self.armed.append(seconds)

    def disarm(self) -> None:
        self.armed.append(None)


@pytest.mark.parametrize(
    ("settings", "of_task", "of_call", "armed"),
    [
        ({}, {}, {}, [None, None]),
        ({"task_soft_time_limit": 9}, {}, {}, [9, None]),
        ({"task_soft_time_limit": 9}, {"soft_time_limit": 5}, {}, [5, None]),
        ({}, {"soft_time_limit": 5}, {"soft_time_limit": 2}, [2, None]),
    ],
)
def test_the_soft_limit_is_the_call_s_the_task_s_or_the_setting_s(make_spine, settings, of_task, of_call, armed):
    spine, limits = make_spine(**settings), Limits()
    spine.app.task(name="work", **of_task)(lambda: 1 / 0).apply_async(**of_call)
    job = spine.job()
    job.runner.run(job, limits)
    assert limits.armed == armed


# -- the request -------------------------------------------------------------------------------------------------------


def test_a_task_knows_its_call(spine):
    seen: dict[str, Any] = {}

    @spine.app.task(name="work", bind=True)
    def work(self: Task[..., Any], *args: Any, **kwargs: Any) -> None:
        request = self.request
        seen.update(
            {name: getattr(request, name) for name in ("id", "task", "args", "kwargs", "retries", "hostname", "utc")}
        )
        seen.update(trace=request.get("trace"), delivery=request.delivery_info, limits=request.timelimit)
        seen.update(id_by_name=request.get("id"), missing=request.get("no such", 7), correlation=request.correlation_id)

    work.apply_async((1,), {"a": 2}, task_id="x", headers={"trace": "t"}, priority=3, time_limit=9, soft_time_limit=5)
    spine.run()
    assert seen == {
        "id": "x", "task": "work", "args": [1], "kwargs": {"a": 2}, "retries": 0, "hostname": NODE, "utc": True,
        "trace": "t", "limits": (9, 5), "id_by_name": "x", "missing": 7, "correlation": "x",
        "delivery": {"exchange": "", "routing_key": "celery", "priority": 3, "redelivered": False},
    }  # fmt: skip


def test_outside_a_run_the_request_is_neutral(spine):
    task = spine.app.task(name="work", bind=True)(lambda self: None)
    request = task.request
    assert (request.id, request.args, request.called_directly, request.delivery_info) == (None, (), True, {})


def test_each_coroutine_has_a_request_of_its_own(spine):
    @spine.app.task(name="work", bind=True)
    async def work(self: Task[..., Any]) -> str:
        before = self.request.id
        await asyncio.sleep(0)
        assert before == self.request.id
        return self.request.id

    for task_id in "abc":
        work.apply_async(task_id=task_id)
    jobs = [spine.admit(delivery) for delivery in spine.taken()]

    async def run() -> list[Completion]:
        return await asyncio.gather(*(job.runner.run_async(job, lambda: None) for job in jobs))

    for completion in asyncio.run(run()):
        spine.carry_out(completion)
    assert [spine.app.AsyncResult(task_id).get() for task_id in "abc"] == ["a", "b", "c"]
