"""What becomes of a call on its way to the broker: id, headers, route, priority, size, and what inherits from a run."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from celeriac import Queue, Task
from celeriac.app.dispatch import Call
from celeriac.exceptions import EncodeError, QueueNotFound
from celeriac.result import AsyncResult
from tests.unit.spine import Spine


@pytest.fixture
def task(spine: Spine) -> Task[..., object]:
    @spine.app.task(name="work")
    def work(*args: object, **kwargs: object) -> None: ...

    return work


def test_delay_sends_the_arguments_under_the_task_s_name(spine, task):
    result = task.delay(1, two=[2])
    call = spine.call()
    assert (call.name, call.id, call.args, call.kwargs) == ("work", result.id, [1], {"two": [2]})


def test_every_call_has_an_id_of_its_own(spine, task):
    ids = [task.delay().id for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(str(uuid.UUID(task_id)) == task_id for task_id in ids)


def test_the_caller_may_choose_the_id(spine, task):
    result = task.apply_async(task_id="mine")
    assert result.id == spine.call().id == "mine"


def test_a_task_may_be_sent_by_its_name_alone(spine):
    result = spine.app.send_task("elsewhere.task", [1], {"a": 2}, task_id="x")
    call = spine.call()
    assert (call.name, call.id, call.args, call.kwargs) == ("elsewhere.task", "x", [1], {"a": 2})
    assert isinstance(result, AsyncResult)


def test_a_slim_message_has_no_header_that_nobody_needs(spine, task):
    task.delay()
    assert set(spine.message().headers) == {"lang", "task", "id"}


def test_a_full_message_tells_who_sent_it(make_spine):
    spine = make_spine(task_message_full=True)
    spine.app.send_task("work", task_id="x")
    headers = spine.message().headers
    assert headers["origin"].startswith("gen")
    assert "@" in headers["origin"]
    assert headers["argsrepr"] == "()"


def test_headers_of_the_caller_arrive_beside_our_own(spine, task):
    task.apply_async(headers={"trace": "abc", "n": 1})
    call = spine.call()
    assert call.headers == {"trace": "abc", "n": 1}


def test_headers_of_the_caller_cannot_replace_our_own(spine, task):
    task.apply_async(task_id="right", headers={"id": "wrong", "task": "wrong"})
    call = spine.call()
    assert (call.name, call.id) == ("work", "right")


def test_an_option_that_does_not_exist_is_an_error_that_names_the_ones_that_do(spine, task):
    with pytest.raises(
        TypeError, match=r"Unknown options of a call: contdown \(did you mean countdown\?\), zzz. Known: "
    ):
        task.apply_async(contdown=3, zzz=1)
    assert not spine.taken()


@pytest.mark.parametrize("option", ["workflow_deadline", "on_end"])
def test_an_option_of_whole_workflows_is_refused_with_the_call_that_takes_it(spine, task, option):
    with pytest.raises(TypeError, match=rf"takes {option}: write task\.s\(\.\.\.\)\.apply_async\({option}="):
        task.apply_async(**{option: 1})
    assert not spine.taken()


def test_what_is_linked_to_a_call_travels_with_it(spine, task):
    task.apply_async(link=task.s(), link_error=[task.si(), {"task": "other", "args": [1]}])
    call = spine.call()
    assert [one["task"] for one in call.callbacks] == ["work"]
    assert [(one["task"], one["args"], one["immutable"]) for one in call.errbacks] == [
        ("work", [], True),
        ("other", [1], False),
    ]


def test_what_is_linked_must_be_a_signature(task):
    with pytest.raises(TypeError, match="is no signature"):
        task.apply_async(link="work")


def test_an_option_of_celery_s_publisher_without_meaning_here_is_accepted(spine, task):
    task.apply_async(delivery_mode=2, mandatory=True)
    assert spine.call().name == "work"


def test_arguments_that_do_not_fit_are_an_error_before_anything_is_sent(spine):
    @spine.app.task
    def narrow(x: int) -> None: ...

    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        narrow.apply_async()
    with pytest.raises(TypeError, match="too many positional arguments"):
        narrow.apply_async((1, 2))
    assert not spine.taken()


@pytest.mark.parametrize("where", ["task", "app"])
def test_a_task_or_an_app_may_leave_the_checking_of_arguments_out(make_spine, where):
    spine = make_spine(strict_typing=where != "app")
    narrow = spine.app.task(**({"typing": False} if where == "task" else {}))(lambda x: None)
    narrow.apply_async((1, 2, 3))
    assert spine.call().args == [1, 2, 3]


def test_arguments_that_cannot_be_written_are_an_error_that_names_them(spine, task):
    with pytest.raises(EncodeError, match="argument 1"):
        task.delay(1, object())
    assert not spine.taken()


def test_a_call_larger_than_allowed_is_an_error_that_names_the_limit(make_spine):
    spine = make_spine(task_message_max_bytes=100)
    with pytest.raises(EncodeError, match=r"work take \d+ bytes; task_message_max_bytes allows 100"):
        spine.app.send_task("work", ["x" * 200])
    spine.app.send_task("work", ["x"])
    assert len(spine.taken()) == 1


# -- where it goes ----------------------------------------------------------------------------------------------------


def test_what_the_call_says_wins_over_the_task_and_the_task_over_the_route(make_spine):
    spine = make_spine(task_routes={"*": {"queue": "routed", "priority": 7, "serializer": "pickle"}})
    plain = spine.app.task(name="plain")(lambda: None)
    own = spine.app.task(name="own", queue="own", priority=3, serializer="yaml")(lambda: None)

    plain.delay()
    delivery = spine.delivery("routed")
    assert (delivery.priority, delivery.message.content_type) == (7, "application/x-python-serialize")
    own.delay()
    delivery = spine.delivery("own")
    assert (delivery.priority, delivery.message.content_type) == (3, "application/x-yaml")
    own.apply_async(queue="said", priority=1, serializer="json")
    delivery = spine.delivery("said")
    assert (delivery.priority, delivery.message.content_type) == (1, "application/json")


def test_a_queue_that_nobody_configured_is_an_error_where_none_are_made_on_the_fly(make_spine):
    spine = make_spine(task_create_missing_queues=False, task_queues=[Queue("celery")])
    with pytest.raises(QueueNotFound, match="nowhere"):
        spine.app.send_task("work", queue="nowhere")


@pytest.mark.parametrize(
    ("order", "most_urgent", "kept"),
    [
        ("store", "highest", {None: None, 0: 0, 7: 7}),
        ("high_first", "highest", {None: None, 0: 0, 7: 7}),
        ("low_first", "highest", {None: 9, 0: 9, 7: 2}),
        ("low_first", "lowest", {None: None, 0: 0, 7: 7}),
        ("high_first", "lowest", {None: 9, 0: 9, 7: 2}),
    ],
)
def test_priorities_may_be_written_in_another_order_than_the_stores(make_spine, order, most_urgent, kept):
    spine = make_spine(task_priority_order=order)
    broker = spine.app.broker
    broker.capabilities = msgspec.structs.replace(broker.capabilities, most_urgent=most_urgent)
    task = spine.app.task(name="work")(lambda: None)
    for said, stored in kept.items():
        call = Call(name="work", args=(), kwargs={}, options={"priority": said}, task=task)
        assert spine.app.dispatcher.prepare(call).priority == stored


def test_a_priority_is_turned_once_however_often_the_task_is_tried(make_spine):
    spine = make_spine(task_priority_order="low_first", task_inherit_parent_priority=True)

    @spine.app.task(bind=True, name="work")
    def work(self):
        child.delay()
        raise self.retry(countdown=0)

    child = spine.app.task(name="child", queue="children")(lambda: None)
    work.apply_async(priority=1)
    (again,) = spine.run().follow_ups
    assert (again.priority, spine.delivery("children").priority) == (8, 8)


def test_the_default_priority_counts_where_nobody_says_one(make_spine):
    spine = make_spine(task_default_priority=4)
    spine.app.send_task("work")
    assert spine.delivery().priority == 4


def test_limits_of_time_are_the_call_s_or_else_the_task_s(spine):
    limited = spine.app.task(time_limit=9, soft_time_limit=5)(lambda: None)
    limited.delay()
    assert spine.message().headers["timelimit"] == [9, 5]
    limited.apply_async(time_limit=20)
    assert spine.message().headers["timelimit"] == [20, 5]


def test_a_soft_limit_beyond_the_hard_one_is_an_error(spine, task):
    with pytest.raises(ValueError, match="soft_time_limit=5 is longer than time_limit=2"):
        task.apply_async(time_limit=2, soft_time_limit=5)


@pytest.mark.parametrize(
    ("setting", "option", "said", "expected"),
    [
        (False, None, None, None),
        (True, None, None, True),
        (False, True, None, True),
        (False, True, False, False),
        (True, None, False, False),
    ],
)
def test_whether_the_result_is_kept_is_said_by_the_call_then_the_task_then_the_setting(
    make_spine, setting, option, said, expected
):
    spine = make_spine(task_ignore_result=setting)
    task = spine.app.task(ignore_result=option)(lambda: None)
    result = task.apply_async(ignore_result=said)
    assert spine.call().ignore_result is expected
    assert result.ignored is bool(expected)


# -- inside a run -----------------------------------------------------------------------------------------------------


def test_what_a_task_sends_knows_its_parent_and_its_root(spine, task):
    @spine.app.task(name="parent", bind=True)
    def parent(self: Task[..., object]) -> None:
        task.apply_async(task_id="child")

    parent.apply_async(task_id="first", root_id="root", parent_id="above")
    spine.run()
    call = spine.call()
    assert (call.id, call.parent_id, call.root_id) == ("child", "first", "root")


def test_a_first_task_is_the_root_of_what_it_sends(spine, task):
    @spine.app.task(name="parent")
    def parent() -> None:
        task.delay()

    result = parent.delay()
    spine.run()
    call = spine.call()
    assert (call.parent_id, call.root_id) == (result.id, result.id)


@pytest.mark.parametrize("how", ["trail", "add_to_parent", "neither"])
def test_a_result_lists_what_its_task_sent_unless_told_not_to(spine, task, how):
    @spine.app.task(name="quiet", trail=False)
    def quiet() -> None: ...

    @spine.app.task(name="parent")
    def parent() -> None:
        if how == "trail":
            quiet.apply_async(queue="side")
        else:
            task.apply_async(queue="side", add_to_parent=how == "neither")

    result = parent.delay()
    spine.run()
    children = [child.id for child in result.children]
    assert children == ([spine.call("side").id] if how == "neither" else [])


def test_a_child_inherits_the_priority_of_its_parent_where_that_is_set(make_spine):
    spine = make_spine(task_inherit_parent_priority=True)

    @spine.app.task(name="parent")
    def parent() -> None:
        spine.app.send_task("child", queue="side")

    parent.apply_async(priority=8)
    spine.run()
    assert spine.delivery("side").priority == 8


def test_a_task_called_as_a_function_begins_a_life_of_its_own(spine, task):
    @spine.app.task(name="inner", bind=True)
    def inner(self: Task[..., object]) -> object:
        return (self.request.id, self.request.called_directly)

    @spine.app.task(name="outer", bind=True)
    def outer(self: Task[..., object]) -> list[object]:
        seen = inner()
        return [*seen, self.request.called_directly]

    result = outer.delay()
    spine.run()
    assert result.get() == [None, True, False]
