"""`Task.retry`: when it tries again, what stays as it was, and what a caller may change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celeriac import Task, signals
from celeriac.exceptions import EncodeError, ImproperlyConfigured, MaxRetriesExceededError, Retry
from celeriac.interfaces.broker import Outgoing
from celeriac.interfaces.store import Store
from celeriac.testing.clock import EPOCH
from celeriac.testing.faults import BrokerBefore
from celeriac.wire import tasks as wire
from celeriac.wire.content import accepted
from celeriac.wire.tasks import TaskCall
from celeriac.worker.outcome import Settle
from tests.unit.spine import Spine

NOW = datetime.fromtimestamp(EPOCH, UTC)

Retrying = Callable[..., Outgoing]


def call(outgoing: Outgoing) -> TaskCall:
    return wire.decode(outgoing.message, accept=accepted(["json", "pickle", "yaml"]))


@pytest.fixture
def retry(spine: Spine) -> Retrying:
    """Return what sends a task that retries with these options, runs it, and returns the message to follow."""

    def run(how: dict[str, Any], *, of_task: dict[str, Any] | None = None, **sent: Any) -> Outgoing:
        @spine.app.task(bind=True, name="work", **(of_task or {}))
        def work(self: Task[..., object], *args: object, **kwargs: object) -> None:
            raise self.retry(**how)

        work.apply_async((1,), {"a": 2}, task_id="x", **sent)
        completion = spine.run(str(sent.get("queue", "celery")))
        assert completion.settle is Settle.ACK
        (follow_up,) = completion.follow_ups
        return follow_up

    return run


def test_it_is_the_same_call_with_one_retry_more(retry):
    again = call(retry({}, root_id="root", parent_id="parent", headers={"trace": "t"}, shadow="alias"))
    assert (again.name, again.id, again.args, again.kwargs) == ("work", "x", [1], {"a": 2})
    assert (again.retries, again.root_id, again.parent_id) == (1, "root", "parent")
    assert (again.headers, again.shadow) == ({"trace": "t"}, "alias")


@pytest.mark.parametrize(
    ("how", "of_task", "seconds"),
    [
        ({}, {}, 180),
        ({}, {"default_retry_delay": 7}, 7),
        ({"countdown": 3}, {}, 3),
        ({"countdown": 0}, {}, 0),
        ({"eta": NOW + timedelta(seconds=9)}, {}, 9),
    ],
)
def test_it_waits_as_long_as_the_call_or_the_task_says(retry, how, of_task, seconds):
    outgoing = retry(how, of_task=of_task)
    assert outgoing.not_before == EPOCH + seconds
    assert call(outgoing).eta == NOW + timedelta(seconds=seconds)


def test_arguments_may_be_changed(retry):
    again = call(retry({"args": (5,), "kwargs": {"b": 6}}))
    assert (again.args, again.kwargs) == ([5], {"b": 6})


def test_arguments_may_be_changed_to_none_at_all(retry):
    again = call(retry({"args": (), "kwargs": {}}))
    assert (again.args, again.kwargs) == ([], {})


def test_it_goes_back_to_the_queue_that_it_came_from_with_its_priority(retry):
    outgoing = retry({}, queue="apart", priority=7)
    assert (outgoing.route.queue, outgoing.priority) == ("apart", 7)


def test_it_may_go_to_another_queue_with_another_priority(retry):
    outgoing = retry({"queue": "other", "priority": 1}, queue="apart", priority=7)
    assert (outgoing.route.queue, outgoing.priority) == ("other", 1)


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml"])
def test_the_serializer_and_the_compression_stay_as_they_were(make_spine, serializer):
    spine = make_spine(accept_content=["json", "pickle", "yaml"])

    @spine.app.task(bind=True, name="work")
    def work(self: Task[..., object], *args: object) -> None:
        raise self.retry()

    work.apply_async((1,), serializer=serializer, compression="zlib")
    arrived = spine.delivery()
    spine.app.broker.requeue([arrived.lease])
    (again,) = spine.run().follow_ups
    assert again.message.content_type == arrived.message.content_type
    assert again.message.headers["compression"] == arrived.message.headers["compression"]
    assert list(call(again).args) == [1]


def test_the_serializer_may_be_changed(retry):
    assert retry({"serializer": "yaml"}).message.content_type == "application/x-yaml"


def test_limits_expiry_and_headers_stay_unless_they_are_changed(retry):
    sent = {"time_limit": 9, "soft_time_limit": 5, "expires": 600, "headers": {"a": 1}}
    kept = call(retry({}, **sent))
    assert (kept.time_limit, kept.soft_time_limit, kept.headers) == (9, 5, {"a": 1})
    assert kept.expires == NOW + timedelta(seconds=600)
    changed = call(retry({"time_limit": 20, "expires": 30, "headers": {"b": 2}}, **sent))
    assert (changed.time_limit, changed.soft_time_limit, changed.headers) == (20, 5, {"b": 2})
    assert changed.expires == NOW + timedelta(seconds=30)


def test_a_retry_whose_new_arguments_are_too_large_fails_the_task_instead_of_being_refused_later(make_spine):
    spine = make_spine(task_message_max_bytes=200)

    @spine.app.task(bind=True, name="work")
    def work(self: Task[..., object]) -> None:
        raise self.retry(args=("x" * 500,))

    result = work.delay()
    assert not spine.run().follow_ups
    with pytest.raises(EncodeError, match="task_message_max_bytes"):
        result.get()


# -- how often ---------------------------------------------------------------------------------------------------------


def runs(spine: Spine, task: Task[..., object]) -> int:
    """Send the task, follow every retry, and return how often it ran."""
    task.apply_async(task_id="x")
    count = 1
    while spine.run().follow_ups:
        count += 1
        spine.clock.advance(1000)
        spine.app.broker.upkeep(limit=10)
    return count


@pytest.mark.parametrize(
    ("of_task", "of_call", "expected"),
    [({}, {}, 4), ({"max_retries": 1}, {}, 2), ({"max_retries": 0}, {}, 1), ({}, {"max_retries": 1}, 2)],
)
def test_a_task_is_tried_as_often_as_it_or_the_call_says(spine, of_task, of_call, expected):
    @spine.app.task(bind=True, **of_task)
    def work(self: Task[..., object]) -> None:
        raise self.retry(**of_call)

    assert runs(spine, work) == expected
    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry .*work\[x\] args:\[\] kwargs:\{\}"):
        spine.app.AsyncResult("x").get()


def test_none_in_the_call_stands_for_the_task_s_own_number(spine):
    @spine.app.task(bind=True, max_retries=1)
    def work(self: Task[..., object]) -> None:
        raise self.retry(max_retries=None)

    assert runs(spine, work) == 2


def test_none_in_the_task_is_for_ever(spine):
    @spine.app.task(bind=True, max_retries=None)
    def work(self: Task[..., object]) -> str:
        if self.request.retries < 20:
            raise self.retry()
        return "at last"

    assert runs(spine, work) == 21
    assert spine.app.AsyncResult("x").get() == "at last"


def test_when_the_tries_are_used_up_the_reason_is_what_the_task_fails_with(spine):
    @spine.app.task(bind=True, max_retries=0)
    def work(self: Task[..., object]) -> None:
        try:
            raise KeyError("reason")
        except KeyError as error:
            raise self.retry(exc=error) from None

    assert runs(spine, work) == 1
    with pytest.raises(KeyError, match="reason"):
        spine.app.AsyncResult("x").get()


def test_a_task_may_catch_that_its_tries_are_used_up(spine):
    @spine.app.task(bind=True, max_retries=0)
    def work(self: Task[..., object]) -> str:
        try:
            raise self.retry()
        except self.MaxRetriesExceededError as error:
            return f"gave up with {error.task_args}"

    assert runs(spine, work) == 1
    assert spine.app.AsyncResult("x").get() == "gave up with []"


# -- without raising ---------------------------------------------------------------------------------------------------


def test_with_throw_false_the_task_goes_on_and_the_message_is_sent_at_its_end(spine):
    @spine.app.task(bind=True)
    def work(self: Task[..., object]) -> str:
        retry = self.retry(throw=False, countdown=5)
        assert isinstance(retry, Retry)
        assert not spine.taken()
        return "went on"

    result = work.delay()
    completion = spine.run()
    assert [call(each).retries for each in completion.follow_ups] == [1]
    assert result.get() == "went on"


def test_a_retry_that_was_kept_and_then_raised_sends_one_message(spine):
    @spine.app.task(bind=True)
    def work(self: Task[..., object]) -> None:
        raise self.retry(throw=False, countdown=5)

    work.delay()
    assert [call(each).retries for each in spine.run().follow_ups] == [1]


def test_the_signal_of_a_retry_has_the_retry_as_its_reason(spine):
    reasons = []

    def note(reason: object, **_: object) -> None:
        reasons.append(reason)

    @spine.app.task(bind=True)
    def work(self: Task[..., object]) -> None:
        raise self.retry(exc=ValueError("not yet"))

    work.delay()
    signals.task_retry.connect(note)
    try:
        spine.run()
    finally:
        signals.task_retry.disconnect(note)
    (reason,) = reasons
    assert isinstance(reason, Retry)
    assert repr(reason.exc) == "ValueError('not yet')"


@pytest.mark.parametrize("error", [ValueError("mine"), None])
def test_outside_a_run_it_raises_the_reason_or_explains(spine, error):
    task = spine.app.task(name="work")(lambda: None)
    with pytest.raises(Retry if error is None else ValueError, match="outside a run" if error is None else "mine"):
        task.retry(exc=error)


def test_the_state_meanwhile_is_retry_with_the_reason(spine):
    @spine.app.task(bind=True)
    def work(self: Task[..., object]) -> None:
        raise self.retry(exc=ValueError("not yet"))

    result = work.delay()
    spine.run()
    assert result.state == "RETRY"
    assert repr(result.result) == "ValueError('not yet')"


def test_a_queue_that_the_broker_cannot_have_is_refused_when_it_is_asked_for_and_the_task_fails(spine):
    class Strict(BrokerBefore):
        def check_queue(self, name: str) -> None:
            raise ImproperlyConfigured(f"no queue is called {name}")

    spine.app.stores._broker_store = Store(broker=Strict(spine.app.broker), results=spine.app.results)

    @spine.app.task(bind=True, name="work")
    def work(self: Task[..., object], queue: str | None) -> None:
        raise self.retry(**({"queue": queue} if queue else {}))

    refused = work.delay("unacked")
    assert spine.run().follow_ups == []
    with pytest.raises(ImproperlyConfigured, match="no queue is called unacked"):
        refused.get(timeout=5)
    work.delay(None)
    assert len(spine.run().follow_ups) == 1, "where it came from it can go again"
