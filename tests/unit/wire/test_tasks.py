import json as stdlib
from collections import OrderedDict, deque
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, EncodeError, ImproperlyConfigured
from celeriac.wire import content, tasks
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall

JSON = content.accepted(["json"])
ALL = content.accepted(["json", "pickle", "yaml", "msgpack"])
ETA = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def back(call, **options):
    return tasks.decode(tasks.encode(call, **options), accept=ALL)


def test_a_plain_call_says_only_what_a_reader_must_know():
    message = tasks.encode(TaskCall("tasks.add", "i", (2, 3), root_id="i"))
    assert message == Message({"lang": "py", "task": "tasks.add", "id": "i"}, b"[[2,3],{},{}]")


def test_the_full_form_has_every_header_and_key_of_celery():
    message = tasks.encode(TaskCall("tasks.add", "i", (2, 3)), full=True)
    assert message.headers == {
        "lang": "py", "task": "tasks.add", "id": "i", "shadow": None, "eta": None, "expires": None, "group": None,
        "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": "i", "parent_id": None,
        "argsrepr": "(2, 3)", "kwargsrepr": "{}", "origin": None, "ignore_result": False,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    assert message.correlation_id == "i"
    assert stdlib.loads(message.body) == [
        [2, 3], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]  # fmt: skip


def test_a_long_repr_is_cut_and_a_broken_one_does_no_harm():
    class Broken(dict):
        def __repr__(self):
            raise RuntimeError

    headers = tasks.encode(TaskCall("n", "i", ("x" * 5000,), {"k": Broken()}), full=True).headers
    assert len(headers["argsrepr"]) == 1024
    assert headers["kwargsrepr"] == "<no repr: RuntimeError>"


def test_whoever_answers_by_message_needs_the_correlation_id():
    message = tasks.encode(TaskCall("n", "i", reply_to="queue"))
    assert (message.reply_to, message.correlation_id) == ("queue", "i")


def test_a_header_of_the_users_cannot_take_the_place_of_one_of_celerys():
    call = TaskCall("n", "i", headers={"id": "other", "retries": 9, "tenant": "t"})
    for full in (True, False):
        read = back(call, full=full)
        assert (read.id, read.retries, read.headers) == ("i", 0, {"tenant": "t"})


def test_any_sequence_and_mapping_may_be_given():
    read = back(TaskCall("n", "i", deque([1, 2]), OrderedDict(a=1)))
    assert (read.args, read.kwargs) == ([1, 2], {"a": 1})


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
def test_a_call_survives_each_serializer_and_compression(serializer, compression):
    read = back(TaskCall("n", "i", (1, "ä"), {"k": [2]}), serializer=serializer, compression=compression)
    assert (list(read.args), read.kwargs, read.headers) == ([1, "ä"], {"k": [2]}, {})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (TaskCall("n", "i", (1, {"key": object()})), r"task n\[i\]: cannot write object at argument 1.key as json"),
        (TaskCall("n", "i", (), {"k": [{1}]}), r"task n\[i\]: cannot write set at keyword argument k.0 as json"),
        (
            TaskCall("n", "i", (), {}, callbacks=[{"task": object()}]),
            r"task n\[i\]: cannot write object at 2.callbacks",
        ),
    ],
)
def test_an_argument_that_cannot_be_written_is_named(call, message):
    with pytest.raises(EncodeError, match=message):
        tasks.encode(call)


def test_settings_that_cannot_work_are_named():
    with pytest.raises(ImproperlyConfigured, match="unknown serializer"):
        tasks.encode(TaskCall("n", "i"), serializer="jsn")
    with pytest.raises(ImproperlyConfigured, match="unknown compression"):
        tasks.encode(TaskCall("n", "i"), compression="zip")


def test_a_body_over_the_limit_is_refused_before_and_after_unpacking():
    call = TaskCall("n", "i", ("x" * 5000,))
    for message in (tasks.encode(call), tasks.encode(call, compression="gzip")):
        assert tasks.decode(message, accept=JSON, max_body=6000).args == ["x" * 5000]
        with pytest.raises(DecodeError, match="limit of 1000"):
            tasks.decode(message, accept=JSON, max_body=1000)


@pytest.mark.parametrize(
    ("eta", "moment"),
    [
        ("2030-01-02T03:04:05.678901+00:00", ETA),
        ("2030-01-02T03:04:05.678901", ETA),
        ("2030-01-02T03:04:05.678901Z", ETA),
        ("2030-01-02T00:04:05.678901-03:00", ETA),
        ("2030-01-02", datetime(2030, 1, 2, tzinfo=UTC)),
        (ETA.timestamp(), ETA),
        (1893553445, ETA.replace(microsecond=0)),
        (ETA.replace(tzinfo=None), ETA),
        (ETA.astimezone(timezone(timedelta(hours=9))), ETA),
        ("", None),
        (None, None),
    ],
)
def test_moments_are_read_in_each_form_and_are_utc(eta, moment):
    for field in ("eta", "expires"):
        read = getattr(tasks.decode(Message({"task": "n", "id": "i", field: eta}, b"[[],{},{}]"), accept=JSON), field)
        assert read == moment
        assert read is None or read.tzinfo is UTC


def test_the_old_protocol_keeps_its_headers_for_the_user():
    body = {"task": "n", "id": "i", "args": [1], "kwargs": {"k": 2}, "taskset": "g", "retries": 3, "utc": True}
    body |= {"errbacks": [{"task": "e"}], "chord": {"task": "c"}, "eta": "2030-01-02T03:04:05.678901"}
    read = tasks.decode(Message({"tenant": "t"}, stdlib.dumps(body).encode()), accept=JSON)
    assert read == TaskCall(
        "n", "i", [1], {"k": 2}, retries=3, group_id="g", errbacks=[{"task": "e"}], chord={"task": "c"}, eta=ETA,
        root_id="i", headers={"tenant": "t"},
    )  # fmt: skip


def test_in_a_mixed_message_the_headers_count():
    body = {"args": [1], "kwargs": {}, "retries": 1, "id": "inner", "timelimit": [9, 8]}
    read = tasks.decode(Message({"task": "n", "id": "i", "retries": 5}, stdlib.dumps(body).encode()), accept=JSON)
    assert (read.id, read.retries, read.time_limit, read.soft_time_limit) == ("i", 5, 9, 8)


def test_stamps_that_stand_among_the_headers_are_not_the_users():
    headers = {"task": "n", "id": "i", "stamped_headers": ["sid"], "stamps": {"sid": "a"}, "sid": "a", "own": 1}
    read = tasks.decode(Message(headers, b"[[],{},{}]"), accept=JSON)
    assert (read.stamps, read.headers) == ({"sid": "a"}, {"own": 1})


@pytest.mark.parametrize("body", [b"[[],{}]", b"[[],{},null]", b"[[],{},{}]", b'[[],{},{"unknown":1}]'])
def test_a_body_may_leave_out_the_embedded_part(body):
    assert tasks.decode(Message({"task": "n", "id": "i"}, body), accept=JSON) == TaskCall("n", "i", [], root_id="i")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
signatures = st.dictionaries(st.text(), json_values, max_size=3)
moments = st.none() | st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC))
seconds = st.none() | st.floats(0, 1e9)


@given(
    st.builds(
        TaskCall,
        name=ids,
        id=ids,
        args=st.lists(json_values, max_size=4),
        kwargs=st.dictionaries(st.text(), json_values, max_size=4),
        retries=st.integers(0),
        eta=moments,
        expires=moments,
        group_id=st.none() | ids,
        group_index=st.none() | st.integers(),
        chord=st.none() | signatures,
        chain=st.none() | st.lists(signatures, max_size=3),
        callbacks=st.none() | st.lists(signatures, max_size=3),
        errbacks=st.none() | st.lists(signatures, max_size=3),
        root_id=ids,
        parent_id=st.none() | ids,
        time_limit=seconds,
        soft_time_limit=seconds,
        argsrepr=st.text(),
        kwargsrepr=st.text(),
        origin=st.none() | st.text(),
        ignore_result=st.none() | st.booleans(),
        shadow=st.none() | st.text(),
        replaced_task_nesting=st.integers(0),
        stamped_headers=st.just(["sid"]),
        stamps=st.fixed_dictionaries({"sid": json_values}),
        reply_to=st.none() | st.text(),
        headers=st.dictionaries(ids.map("x-{}".format), json_values, max_size=3),
    ),
    st.booleans(),
)
def test_any_call_survives_in_either_form(call, full):
    # The full form has no way to leave ignore_result to the task.
    expected = msgspec.structs.replace(call, ignore_result=bool(call.ignore_result)) if full else call
    assert back(call, full=full) == expected


STEP = {"task": "next", "args": [1], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
def test_the_rest_of_a_chain_goes_on_as_it_came(serializer):
    accept = content.accepted(["json", "pickle", "yaml", "msgpack"])
    read = tasks.decode(tasks.encode(TaskCall(name="t", id="i", chain=[STEP, STEP])), accept=accept)
    again = tasks.decode(tasks.encode(read, serializer=serializer), accept=accept)
    assert again.chain == [STEP, STEP]


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), float("inf"), "\ud800"])
def test_the_rest_of_a_chain_that_is_more_than_plain_json_keeps_its_values(value):
    accept = content.accepted(["json"])
    call = TaskCall(name="t", id="i", chain=[{**STEP, "args": [value]}])
    for _ in range(2):
        call = tasks.decode(tasks.encode(call), accept=accept)
    assert call.chain[0]["args"] == [value]
