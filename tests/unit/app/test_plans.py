"""Calls that have nothing but arguments are sent by a plan, which holds no longer than what it was made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celeriac
from celeriac.app.dispatch import Call
from celeriac.app.task import Task
from celeriac.exceptions import EncodeError
from celeriac.interfaces.broker import Outgoing
from celeriac.wire import content
from celeriac.wire import tasks as wire
from celeriac.wire.headers import slim_headers


class Sending:
    """An application, one task of it, and what is sent for a call of the task."""

    def __init__(self, **settings):
        self.app = Celeriac("t", broker="memory://", set_as_current=False, **settings)

        @self.app.task(name="add")
        def add(*args, **kwargs):
            """Do nothing."""

        self.task = add

    def sent(self, *args, **kwargs) -> Outgoing:
        call = Call(name="add", args=args, kwargs=kwargs, options={}, task=self.task)
        return self.app.dispatcher.prepare(call)


@pytest.fixture
def sending():
    made = Sending(task_routes={"add": "first"}, task_create_missing_queues=True)
    assert made.sent(1).route.queue == "first"
    yield made
    made.app.close()


@pytest.mark.parametrize(
    ("attribute", "value", "read"),
    [
        ("queue", "other", lambda outgoing: outgoing.route.queue),
        ("priority", 5, lambda outgoing: outgoing.priority),
        ("time_limit", 9.0, lambda outgoing: (outgoing.message.headers.get("timelimit") or [None])[0]),
        ("ignore_result", True, lambda outgoing: outgoing.message.headers.get("ignore_result")),
    ],
)
def test_an_attribute_changed_after_the_first_call_counts_in_the_next(sending, attribute, value, read):
    for place in (sending.task, Task):
        assert read(sending.sent(1)) != value
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, attribute, value)
            assert read(sending.sent(1)) == value
        assert read(sending.sent(1)) != value


def test_a_serializer_and_a_compression_named_later_count(sending):
    sending.task.serializer = "pickle"
    assert sending.sent(1).message.content_type == content.PICKLE
    sending.task.serializer = None
    assert sending.sent(1).message.content_type == "application/json"
    sending.task.compression = "gzip"
    assert sending.sent(1).message.headers["compression"] == "application/x-gzip"


def test_a_time_to_live_named_later_counts(sending):
    sending.task.expires = 60
    assert "expires" in sending.sent(1).message.headers


@pytest.mark.parametrize(
    ("setting", "value", "read"),
    [
        ("task_serializer", "pickle", lambda outgoing: outgoing.message.content_type == content.PICKLE),
        ("task_compression", "gzip", lambda outgoing: "compression" in outgoing.message.headers),
        ("task_message_full", True, lambda outgoing: "argsrepr" in outgoing.message.headers),
        ("task_ignore_result", True, lambda outgoing: outgoing.message.headers.get("ignore_result") is True),
        ("task_default_priority", 3, lambda outgoing: outgoing.priority == 3),
    ],
)
def test_a_setting_changed_after_the_first_call_counts_in_the_next(sending, setting, value, read):
    assert not read(sending.sent(1))
    sending.app.conf.update({setting: value})
    assert read(sending.sent(1))
    delattr(sending.app.conf, setting)
    assert not read(sending.sent(1))


def test_a_limit_of_bytes_set_later_counts(sending):
    sending.app.conf.task_message_max_bytes = 10
    with pytest.raises(EncodeError, match="task_message_max_bytes"):
        sending.sent("long enough")


def test_a_route_that_is_a_function_is_asked_for_each_call():
    def by_argument(name, args, kwargs, options, task=None, **kw):
        return {"queue": f"q{args[0]}"}

    sending = Sending(task_routes=(by_argument,))
    assert [sending.sent(number).route.queue for number in (1, 2, 1)] == ["q1", "q2", "q1"]


def test_the_options_of_a_route_are_in_the_plan():
    sending = Sending(task_routes={"add": {"queue": "fast", "priority": 7, "time_limit": 5}})
    for _ in range(2):
        outgoing = sending.sent(1)
        assert (outgoing.route.queue, outgoing.priority) == ("fast", 7)
        assert outgoing.message.headers["timelimit"] == [5, None]


def test_two_tasks_of_one_name_have_each_their_own_plan(sending):
    first = sending.task
    other = Task.of(lambda *_: None, name="add", bind=False, options={"queue": "second"})
    for _ in range(2):
        sending.task = other
        assert sending.sent(1).route.queue == "second"
        sending.task = first
        assert sending.sent(1).route.queue == "first"


def test_a_serializer_that_a_user_put_in_the_place_of_json_is_used(monkeypatch):
    monkeypatch.setattr(content, "_by_name", dict(content._by_name))
    monkeypatch.setattr(content, "_by_type", dict(content._by_type))
    content.register("json", lambda value: b'[["mine"],{},{}]', lambda body: body, "application/json")
    assert Sending().sent(1).message.body == b'[["mine"],{},{}]'


def test_each_call_has_an_id_and_headers_of_its_own(sending):
    first, second = sending.sent(1), sending.sent(1)
    assert first.message.headers["id"] != second.message.headers["id"]
    first.message.headers["mine"] = 1
    assert "mine" not in sending.sent(1).message.headers


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    args=st.lists(values),
    kwargs=st.dictionaries(st.text(), values),
    ignore=st.sampled_from([None, True]),
    reply_to=st.sampled_from([None, "there"]),
)
def test_a_call_by_plan_is_written_as_one_without(args, kwargs, ignore, reply_to):
    call = wire.TaskCall(name="add", id="i", args=args, kwargs=kwargs, ignore_result=ignore, reply_to=reply_to)
    template = slim_headers(wire.TaskCall(name="add", id="another", ignore_result=ignore))
    written = wire.encode_plain(template, "i", args, kwargs, reply_to)
    assert written is None or written == wire.encode(call)


def test_what_is_no_plain_json_is_left_to_the_full_encoder():
    for args in ([float("nan")], [b"x"], ["\ud800"], [{1: 2}], range(3)):
        assert wire.encode_plain({}, "i", args, {}) is None
    assert wire.encode_plain({}, "i", (), {1: 2}) is None


def test_plain_values_are_written_by_plan():
    for args in ([], [1, "a", None, True], ({"a": [1.5, {}]},)):
        assert wire.encode_plain({}, "i", args, {"key": args}) is not None
