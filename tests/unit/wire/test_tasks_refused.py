"""Messages that are no tasks are refused with a reason that names the field, and run no code of the sender's."""

import json as stdlib
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from celeriac.exceptions import CeleriacError, ContentDisallowed, DecodeError, InvalidTaskError
from celeriac.wire import content, tasks
from celeriac.wire.compression import compress
from celeriac.wire.headers import KNOWN
from celeriac.wire.identity import peek_identity, peek_retries
from celeriac.wire.message import Message

JSON = content.accepted(["json"])
ALL = content.accepted(["json", "pickle", "yaml", "msgpack", "raw"])


def read(headers=None, body=([], {}, {}), **options):
    raw = body if isinstance(body, bytes) else stdlib.dumps(body).encode()
    return tasks.decode(Message({"task": "n", "id": "i", **(headers or {})}, raw, **options), accept=JSON)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"task": ""}, "task"),
        ({"task": 5}, "task"),
        ({"task": None}, "task"),
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": ["i"]}, "id"),
        ({"id": "half a character: \ud800"}, "id"),
        ({"task": "half a character: \udcff"}, "task"),
        ({"id": "null \0 character"}, "id"),
        ({"retries": "3"}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"retries": True}, "retries"),
        ({"eta": "soon"}, "eta"),
        ({"eta": [2030]}, "eta"),
        ({"eta": True}, "eta"),
        ({"eta": 1e300}, "eta"),
        ({"eta": "0001-01-01T00:00:00+10:00"}, "eta"),
        ({"expires": {}}, "expires"),
        ({"expires": float("nan")}, "expires"),
        ({"timelimit": 5}, "timelimit"),
        ({"timelimit": [1]}, "timelimit"),
        ({"timelimit": [1, 2, 3]}, "timelimit"),
        ({"timelimit": ["1", None]}, "timelimit"),
        ({"timelimit": [float("inf"), None]}, "timelimit"),
        ({"group": 5}, "group"),
        ({"group_index": "a"}, "group_index"),
        ({"root_id": {}}, "root_id"),
        ({"parent_id": 1}, "parent_id"),
        ({"ignore_result": "yes"}, "ignore_result"),
        ({"shadow": []}, "shadow"),
        ({"stamped_headers": "sid"}, "stamped_headers"),
        ({"stamps": []}, "stamps"),
        ({"replaced_task_nesting": "1"}, "replaced_task_nesting"),
        ({"compression": 5}, "compression"),
    ],
)
def test_a_header_of_the_wrong_kind_is_named(headers, field):
    with pytest.raises(InvalidTaskError, match=rf"task .*\[.*\]: .*{field}"):
        read(headers)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([1, {}, {}], "args: expected a list, got int"),
        (["ab", {}, {}], "args: expected a list, got str"),
        ([None, {}, {}], "args: expected a list, got NoneType"),
        ([{}, {}, {}], "args: expected a list, got dict"),
        ([[], [], {}], "kwargs: expected a mapping, got list"),
        ([[], None, {}], "kwargs: expected a mapping, got NoneType"),
        ([[]], "the body has 1 parts"),
        ([], "the body has 0 parts"),
        ([[], {}, {}, {}], "the body has 4 parts"),
        ([[], {}, [1]], "Expected `object`"),
        ([[], {}, {"callbacks": 5}], "callbacks"),
        ([[], {}, {"errbacks": ["name"]}], "errbacks"),
        ([[], {}, {"chain": {"task": "n"}}], "chain"),
        ([[], {}, {"chord": []}], "chord"),
        ("text", "the body is str"),
        (5, "the body is int"),
        (None, "the body is NoneType"),
    ],
)
def test_a_body_of_the_wrong_shape_is_described(body, field):
    with pytest.raises(InvalidTaskError, match=field):
        read(body=body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task"),
        ({"task": "n"}, "id"),
        ({"task": "n", "id": "i", "args": 3}, "args"),
        ({"task": "n", "id": "i", "kwargs": [1]}, "kwargs"),
        ({"task": "n", "id": "i", "retries": "x"}, "retries"),
        ({"task": "n", "id": "i", "taskset": 5}, "group"),
        ({"task": "n", "id": "i", "callbacks": "x"}, "callbacks"),
    ],
)
def test_an_old_message_is_checked_just_as_well(body, field):
    with pytest.raises(InvalidTaskError, match=field):
        tasks.decode(Message({}, stdlib.dumps(body).encode()), accept=JSON)


def test_names_of_keyword_arguments_must_be_text():
    body = pickle.dumps(([], {1: 2}, {}))
    with pytest.raises(InvalidTaskError, match="a name is not text"):
        tasks.decode(Message({"task": "n", "id": "i"}, body, content.PICKLE, "binary"), accept=ALL)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('the sender ran code here')",)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_pickle_is_not_opened_unless_it_is_accepted(compression):
    body, headers = pickle.dumps(Bomb()), {"task": "n", "id": "i"}
    if compression is not None:
        body, headers["compression"] = compress(body, compression)
    with pytest.raises(ContentDisallowed):
        tasks.decode(Message(headers, body, content.PICKLE, "binary"), accept=JSON)


def test_a_bomb_of_zeros_is_stopped_at_the_limit():
    body, mime = compress(bytes(5_000_000), "gzip")
    message = Message({"task": "n", "id": "i", "compression": mime}, body)
    with pytest.raises(DecodeError, match="limit of 10000 bytes"):
        tasks.decode(message, accept=JSON, max_body=10_000)


@pytest.mark.parametrize("body", [b"", b"[[],{},{}", b"\xff", b"[" * 200_000])
def test_a_broken_body_is_a_decode_error(body):
    with pytest.raises(DecodeError):
        read(body=body)


@pytest.mark.parametrize(
    ("message", "identity"),
    [
        (Message({"task": "n", "id": "i"}, b"\xff"), ("n", "i")),
        (Message({"task": 5, "id": None}, b""), (None, None)),
        (Message({"id": "i"}, b"\xff"), (None, "i")),
        (Message({"task": "n\ud800", "id": "i"}, b""), (None, "i")),
        (Message({"task": "n", "id": "i\ud800"}, b""), ("n", None)),
        (Message({}, b'{"task":"n","id":"i","args":NaN'), (None, None)),
        (Message({}, b'{"task":"n","id":"i","args":[]}'), ("n", "i")),
        (Message({}, b'{"task":1,"id":[]}'), (None, None)),
        (Message({}, b"[" * 200_000), (None, None)),
        (Message({}, pickle.dumps(Bomb()), content.PICKLE, "binary"), (None, None)),
    ],
)
def test_the_identity_of_a_bad_message_is_told_as_far_as_it_goes(message, identity):
    assert peek_identity(message) == identity


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
odd_keys = st.none() | st.integers() | st.text() | st.booleans()
known = st.sampled_from(sorted(KNOWN))
types = st.sampled_from([*sorted(ALL - {content.PICKLE}), "", "text/plain"])


def survive(message):
    """Read it every way; anything but one of our errors fails the test."""
    peek_identity(message)
    peek_retries(message)
    try:
        tasks.decode(message, accept=ALL, max_body=100_000)
    except CeleriacError as error:
        str(error)


@given(known, json_values)
def test_any_value_in_any_header_is_read_or_refused(key, value):
    survive(Message({"task": "n", "id": "i", key: value}, b"[[],{},{}]"))


@given(st.dictionaries(known | st.text(), json_values), json_values)
def test_any_headers_with_any_body_are_read_or_refused(headers, body):
    survive(Message(headers, stdlib.dumps(body).encode()))


def outcome(message):
    try:
        return repr(tasks.decode(message, accept=ALL))  # in which nan is like nan
    except InvalidTaskError as error:
        return str(error)


few = st.dictionaries(st.sampled_from(["lang", "task", "id", "ignore_result"]), json_values)
arguments = st.lists(json_values) | json_values
keywords = st.dictionaries(odd_keys, json_values, max_size=4) | json_values


@given(few, arguments, keywords, st.just({}) | json_values, st.none() | st.text())
@example({"task": "n", "id": "i"}, [1], {"a": 2}, {}, None)
@example({"lang": "py", "task": "n", "id": "i", "ignore_result": True}, [], {}, {}, "me")
def test_a_message_with_few_headers_is_read_as_one_that_has_more(headers, args, kwargs, embed, reply_to):
    body = pickle.dumps([args, kwargs, embed])
    short, long = (
        Message(given, body, content.PICKLE, "binary", reply_to=reply_to) for given in (headers, {**headers, "meth": 0})
    )
    assert outcome(short) == outcome(long)


@given(st.sampled_from(["callbacks", "errbacks", "chain", "chord"]), json_values)
def test_any_embedded_value_is_read_or_refused(key, value):
    survive(Message({"task": "n", "id": "i"}, stdlib.dumps([[], {}, {key: value}]).encode()))


@given(st.dictionaries(known | st.sampled_from(["args", "kwargs", "taskset", "chord"]), json_values))
def test_any_old_message_is_read_or_refused(body):
    survive(Message({}, stdlib.dumps({"task": "n", "id": "i", **body}).encode()))


@given(st.binary(), types, st.sampled_from(["utf-8", "binary", "odd"]), st.none() | st.text() | st.just("gzip"))
def test_any_bytes_are_read_or_refused(body, content_type, encoding, compression):
    survive(Message({"task": "n", "id": "i", "compression": compression}, body, content_type, encoding))


@given(st.dictionaries(odd_keys, json_values, max_size=4), st.dictionaries(odd_keys, json_values, max_size=4))
def test_mappings_with_odd_keys_are_read_or_refused(old_body, embed):
    for body in (old_body, [[], {}, embed], [[], old_body, {}]):
        survive(Message({"task": "n", "id": "i"}, pickle.dumps(body), content.PICKLE, "binary"))
        survive(Message({}, pickle.dumps(body), content.PICKLE, "binary"))
