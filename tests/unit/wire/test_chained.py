"""Bodies of tasks in a chain, whose steps are read when their turn comes."""

from __future__ import annotations

import json as standard

import pytest

from celeriac.exceptions import InvalidTaskError
from celeriac.wire import tasks
from celeriac.wire.json import Unread
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall

ACCEPT = frozenset({"application/json"})
STEPS = [{"task": name, "args": [1.5], "kwargs": {"x": None}, "options": {"task_id": name}} for name in "abc"]


def read(embed: object, *, separators: tuple[str, str] = (",", ":")) -> TaskCall:
    body = standard.dumps([[1], {}, embed], separators=separators).encode()
    return tasks.decode(Message({"task": "t", "id": "i"}, body), accept=ACCEPT)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["ours", "stock's"])
def test_the_steps_are_left_as_they_came_and_go_on_so(separators):
    call = read({"callbacks": None, "errbacks": [STEPS[0]], "chain": STEPS, "chord": STEPS[1]}, separators=separators)
    assert isinstance(call.chain, Unread)
    assert (call.chain[-1], list(call.chain)) == (STEPS[-1], STEPS)
    assert (call.errbacks, call.chord, call.args) == ([STEPS[0]], STEPS[1], [1])
    rest = call.chain[:-1]
    assert isinstance(rest, Unread)
    assert (len(rest), rest, repr(rest)) == (2, STEPS[:-1], repr(STEPS[:-1]))
    assert list(reversed(rest)) == STEPS[1::-1]
    again = tasks.encode(TaskCall(name="n", id="j", args=(object.__name__,), chain=rest))
    assert standard.loads(again.body)[2]["chain"] == STEPS[:-1]


def test_what_is_left_of_a_chain_is_written_by_any_writer():
    rest = read({"chain": STEPS}).chain
    message = tasks.encode(TaskCall(name="n", id="j", args=(b"bytes",), chain=rest))
    assert tasks.decode(message, accept=ACCEPT).chain == STEPS
    yaml = tasks.encode(TaskCall(name="n", id="j", chain=rest), serializer="yaml")
    assert tasks.decode(yaml, accept=frozenset({"application/x-yaml"})).chain == STEPS


@pytest.mark.parametrize("step", [1, None, "text", [STEPS[0]]])
def test_a_step_that_is_no_mapping_is_found_out_at_once(step):
    with pytest.raises(InvalidTaskError, match="chain"):
        read({"chain": [*STEPS, step]})


@pytest.mark.parametrize("value", ["Größe", float("nan"), {"__type__": "bytes", "__value__": "x"}])
def test_what_takes_more_than_plain_ascii_is_read_at_once(value):
    call = read({"chain": [{**STEPS[0], "args": [value]}]})
    assert not isinstance(call.chain, Unread) or value == "Größe"
    assert len(call.chain) == 1


def test_a_value_that_only_the_full_reader_can_read_is_read_when_it_is_asked_for():
    body = b'[[],{},{"chain":[{"task":"t","args":["\\ud800"],"kwargs":{},"options":{}}]}]'
    call = tasks.decode(Message({"task": "t", "id": "i"}, body), accept=ACCEPT)
    assert call.chain is not None
    assert call.chain[0]["args"] == ["\ud800"]
