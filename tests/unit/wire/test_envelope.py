import base64
import json as stdlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.wire import envelope
from celeriac.wire.message import Message

ID = "d3ab09b6-0341-4032-9d14-ffe935a10c2e"


def write(message, **options):
    options = {"exchange": "", "routing_key": "celery", "priority": None, "delivery_tag": "tag", **options}
    return envelope.encode(message, **options)


def document(**changes):
    whole = {
        "body": "[]",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"id": "i"},
        "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "x", "routing_key": "r"}, "priority": 3},
    }
    whole.update(changes)
    return stdlib.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


def test_a_small_message_takes_less_than_400_bytes():
    message = Message({"lang": "py", "task": "tasks.add", "id": ID}, b"[[2,3],{},{}]")
    assert len(write(message, delivery_tag=ID, priority=0)) <= 320


def test_the_parts_stand_in_the_order_that_the_stores_scripts_rely_on():
    message = Message({"headers": {"priority": 9}}, b'{"headers":{"priority":9}}', reply_to='"priority":7')
    raw = write(message, priority=4, exchange='"headers":{')
    assert list(stdlib.loads(raw)) == ["properties", "content-type", "content-encoding", "body", "headers"]
    first = raw.index(b'"headers":{')
    assert stdlib.loads(raw[first + len('"headers":') : -1]) == message.headers
    assert raw[raw.index(b'"priority":') :].startswith(b'"priority":4')


@given(st.binary(), st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_no_body_and_no_text_can_pass_for_headers_or_priority(body, text, headers):
    message = Message({"id": "i"}, b'"headers":{' + body + b'"priority":1', reply_to=text + '"headers":{')
    raw = write(message, priority=2, routing_key=text + '"priority":')
    assert raw[raw.index(b'"headers":{') :] == b'"headers":{"id":"i"}}'
    assert raw[raw.index(b'"priority":') :].startswith(b'"priority":2')


@pytest.mark.parametrize(
    ("body", "encoding", "headers", "is_text"),
    [
        (b'[[1],{"a":"\xc3\xa4"},{}]', "utf-8", {}, True),
        (b"\xff\xfe", "utf-8", {}, False),
        (b"plain", "binary", {}, False),
        (b"plain", "utf-8", {"compression": "application/x-gzip"}, False),
        (b"", "utf-8", {}, True),
        (b"", "binary", {}, True),
        (b'"\\\x00\x7f', "utf-8", {}, True),
    ],
)
def test_text_stays_text_and_the_rest_is_base64(body, encoding, headers, is_text):
    raw = write(Message(headers, body, content_encoding=encoding))
    kept = stdlib.loads(raw)
    if is_text:
        assert kept["body"].encode() == body
    else:
        assert kept["properties"]["body_encoding"] == "base64"
        assert base64.b64decode(kept["body"]) == body
    assert envelope.decode(raw).message.body == body


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.builds(
        Message,
        headers=st.dictionaries(st.text().filter(lambda key: key != "redelivered"), json_values, max_size=4),
        body=st.binary(),
        content_type=st.text(min_size=1),
        content_encoding=st.sampled_from(["utf-8", "binary", "us-ascii"]),
        correlation_id=st.none() | st.text(min_size=1),
        reply_to=st.none() | st.text(min_size=1),
    ),
    st.none() | st.integers(0, 9),
    st.text(),
    st.text(),
)
def test_any_message_survives(message, priority, exchange, routing_key):
    raw = write(message, priority=priority, exchange=exchange, routing_key=routing_key)
    assert envelope.decode(raw) == envelope.Envelope(message, priority, False, exchange, routing_key)


def test_headers_keep_types_that_json_has_not():
    headers = {"when": datetime(2026, 1, 1, tzinfo=UTC), "raw": b"\xff", "n": float("inf")}
    assert envelope.decode(write(Message(headers, b"[]"))).message.headers == headers


def test_headers_that_json_cannot_carry_are_refused():
    with pytest.raises(EncodeError, match="cannot write the headers"):
        write(Message({"o": object()}, b"[]"))


def test_half_a_surrogate_in_a_property_is_refused():
    with pytest.raises(EncodeError, match="no valid text"):
        write(Message({}, b"[]", reply_to="\ud800"))


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"id": "i", "redelivered": True}},
        {"properties": {"delivery_info": {"redelivered": True}}},
        {"redelivered": True},
    ],
)
def test_every_mark_of_a_message_that_was_put_back_is_seen(changes):
    read = envelope.decode(document(**changes))
    assert read.redelivered is True
    assert read.message.headers == {"id": "i"}


def test_a_header_of_that_name_with_another_value_is_the_users_own():
    read = envelope.decode(document(headers={"redelivered": "twice"}))
    assert (read.redelivered, read.message.headers) == (False, {"redelivered": "twice"})


@pytest.mark.parametrize("headers", [..., None, {}])
def test_a_message_needs_no_headers(headers):
    assert envelope.decode(document(headers=headers)).message.headers == {}


def test_what_is_missing_has_the_meaning_that_kombu_gives_it():
    read = envelope.decode(b'{"body":"x","properties":{}}')
    assert read.message == Message({}, b"x", content_type="application/data", content_encoding="utf-8")
    assert (read.priority, read.exchange, read.routing_key) == (None, "", "")


def test_an_empty_reply_to_is_none():
    assert envelope.decode(document(properties={"reply_to": "", "correlation_id": ""})).message.reply_to is None


def test_a_body_that_a_stock_client_tagged_as_bytes_is_read():
    assert envelope.decode(document(body={"__type__": "bytes", "__value__": "[]"})).message.body == b"[]"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no message"),
        (b"null", "no message"),
        (b"[]", "no message"),
        (b"{}", "properties"),
        (b"\xff\xfe", "no message"),
        (b"[" * 300_000, "RecursionError"),
        (document(body=...), "body"),
        (document(body=5), "is int, not text"),
        (document(body=None), "is NoneType, not text"),
        (document(body={"a": 1}), "is dict, not text"),
        (document(body="\ud800"), "no valid text"),
        (document(properties=...), "properties"),
        (document(properties=[]), "properties"),
        (document(properties={"priority": "high"}), "priority"),
        (document(properties={"delivery_info": 1}), "delivery_info"),
        (document(properties={"body_encoding": "rot13"}), "unknown body_encoding 'rot13'"),
        (document(body="%%%", properties={"body_encoding": "base64"}), "no base64"),
        (document(body="ä", properties={"body_encoding": "base64"}), "no base64"),
        (document(headers=[1]), "headers"),
        (document(**{"content-type": 5}), "content-type"),
        (document(headers={"a": {"__type__": "uuid", "__value__": 1}}), "TypeError"),
    ],
)
def test_what_is_no_envelope_is_a_decode_error_with_the_reason(raw, reason):
    with pytest.raises(DecodeError, match=reason):
        envelope.decode(raw)


@given(st.binary() | json_values.map(lambda value: stdlib.dumps(value).encode()))
def test_any_bytes_are_an_envelope_or_a_decode_error(raw):
    try:
        envelope.decode(raw)
    except DecodeError:
        pass


@given(st.sampled_from(["body", "headers", "properties", "content-type", "content-encoding"]), json_values)
def test_any_value_in_any_place_is_read_or_is_a_decode_error(key, value):
    try:
        envelope.decode(document(**{key: value}))
    except DecodeError:
        pass


@given(st.sampled_from(["priority", "delivery_info", "body_encoding", "reply_to", "delivery_tag"]), json_values)
def test_any_value_in_any_property_is_read_or_is_a_decode_error(key, value):
    try:
        envelope.decode(document(properties={key: value}))
    except DecodeError:
        pass


@pytest.mark.parametrize(
    "marks",
    [
        {"headers": {"id": "i", "redelivered": True}},
        {"properties": {"delivery_info": {"redelivered": True, "exchange": "x", "routing_key": "r"}, "priority": 3}},
        {"redelivered": True},
        {"headers": {"redelivered": True}, "properties": {"delivery_info": {"redelivered": True}}, "redelivered": True},
    ],
)
def test_marks_of_a_redelivery_are_taken_off_wherever_readers_look(marks):
    raw = document(**marks)
    assert envelope.decode(raw).redelivered
    after = envelope.unmark(raw)
    assert not envelope.decode(after).redelivered
    assert envelope.decode(after).message == envelope.decode(raw).message
    assert b"redelivered" not in after


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()), st.binary())
def test_taking_marks_off_changes_nothing_else(headers, body):
    headers.pop("redelivered", None)
    raw = write(Message(headers, body), priority=2)
    assert envelope.unmark(raw) == raw
    marked = raw.replace(b'"headers":{', b'"headers":{"redelivered":true' + (b"," if headers else b""), 1)
    assert envelope.decode(marked).redelivered
    assert envelope.unmark(marked) == raw


@given(st.binary() | st.sampled_from([b"{}", b"[]", b"null", b'{"headers":7}', b'{"headers":null}', b'{"x":NaN}']))
def test_what_is_no_document_keeps_its_bytes_when_marks_are_taken_off(raw):
    assert envelope.unmark(raw) == raw
