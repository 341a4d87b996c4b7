"""Remote control's requests and answers, as Celery writes and reads them."""

from __future__ import annotations

import json

import pytest

from celeriac.exceptions import DecodeError
from celeriac.wire import control
from celeriac.wire.control import ReplyTo, Request
from celeriac.wire.message import Message, Unreadable

STOCK = (
    b'{"method":"ping","arguments":{},"destination":null,"pattern":null,"matcher":null,'
    b'"ticket":"ce44b843","reply_to":{"exchange":"reply.celery.pidbox","routing_key":"8fea718a"}}'
)
"""Written by Celery 5.7, ids shortened."""


def test_a_request_of_stock_celery_is_read():
    request = control.decode(Message({"clock": 1, "expires": 0}, STOCK))
    assert request == Request("ping", {}, ticket="ce44b843", reply_to=ReplyTo("reply.celery.pidbox", "8fea718a"))


def test_a_request_survives():
    request = Request("revoke", {"task_id": ["a"], "terminate": True}, ["w1@h"], ticket="t", reply_to=ReplyTo("x", "k"))
    assert control.decode(control.encode(request)) == request


def test_a_request_that_wants_no_answer_has_no_word_of_it():
    message = control.encode(Request("revoke", {"task_id": "a"}), expires=7.5)
    assert json.loads(message.body).keys() == {"method", "arguments", "destination", "pattern", "matcher"}
    assert message.headers == {"clock": 0, "expires": 7.5}


def test_an_answer_survives():
    message = control.encode_reply("w1@h", {"ok": "pong"}, ticket="t")
    assert control.decode_reply(message) == {"w1@h": {"ok": "pong"}}
    assert message.headers["ticket"] == "t"


@pytest.mark.parametrize(
    "message",
    [
        Unreadable(b"?", "no message"),
        Message({}, b"\x80\x04", "application/x-python-serialize", "binary"),
        Message({}, b"{"),
        Message({}, b"[]"),
        Message({}, b'{"method": 3}'),
        Message({}, b'{"arguments": {}}'),
        Message({}, b'{"method": "revoke", "destination": "all"}'),
        Message({}, b"[" * 100_000),
    ],
    ids=["unreadable", "pickle", "cut", "list", "number", "nothing", "text", "deep"],
)
def test_what_is_no_request_is_refused(message):
    with pytest.raises(DecodeError):
        control.decode(message)


@pytest.mark.parametrize(
    ("request_", "is_meant"),
    [
        (Request("m"), True),
        (Request("m", destination=[]), True),
        (Request("m", destination=["w1@h", "w2@h"]), True),
        (Request("m", destination=["w2@h"]), False),
        (Request("m", pattern="w*@h", matcher="glob"), True),
        (Request("m", pattern="x*", matcher="glob"), False),
        (Request("m", pattern=r"w\d@", matcher="pcre"), True),
        (Request("m", pattern=r"(", matcher="pcre"), False),
        (Request("m", pattern="x"), True),
    ],
)
def test_a_node_knows_whether_it_is_meant(request_, is_meant):
    assert request_.is_for("w1@h") is is_meant


@pytest.mark.parametrize("given", ["SIGTERM", "TERM", "term", 15])
def test_a_signal_may_be_given_in_several_ways(given):
    assert control.signal_name(given) == "SIGTERM"
    assert control.signal_number("SIGTERM") == 15


@pytest.mark.parametrize("given", ["SIGNOTHING", "", 999])
def test_a_signal_that_is_none_is_refused(given):
    with pytest.raises(ValueError, match="There is no signal"):
        control.signal_name(given)
