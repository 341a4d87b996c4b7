"""What stock Celery 5.7 wrote (see tests/golden/capture.py) is read as what was meant."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from celeriac import exceptions
from celeriac.wire import content, envelope, json, results, tasks
from celeriac.wire.identity import peek_identity, peek_retries

GOLDEN = Path(__file__).parents[2] / "golden"
OID = "0c9b2a3e-0000-3000-8000-000000000001"
NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ETA = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
JSON = content.accepted(["json"])
ALL = content.accepted(["json", "pickle", "yaml", "msgpack"])
GROUP = "00000000-0000-4000-8000-"


NOTHING_SPECIAL = tasks.TaskCall("name", "id", ignore_result=False)


def add(*args, **options):
    return {"task": "golden.add", "args": list(args), "kwargs": {}, "options": {}, "subtask_type": None, **options}


MESSAGES = {
    "plain": {},
    "kwargs": {"args": [1], "kwargs": {"y": 2, "text": "päron ☃", "nested": {"a": [1, None, True, 1.5]}}},
    "eta": {"eta": ETA},
    "eta-with-offset": {"eta": ETA},
    "expires": {"expires": ETA},
    "expires-in-seconds": {"expires": NOW.replace(minute=1)},
    "priority": {},
    "countdown": {"eta": NOW.replace(second=30)},
    "headers": {"headers": {"tenant": "t1", "trace": {"headers": {"priority": 1}}}},
    "link": {"callbacks": [add(10, immutable=False)]},
    "link-error": {"errbacks": [add("failed", immutable=True)]},
    "ignore-result": {"ignore_result": True},
    "shadow": {"shadow": "shown.name"},
    "time-limits": {"time_limit": 30, "soft_time_limit": 20},
    "parent": {"root_id": "id-root", "parent_id": "id-parent"},
    "tagged": {"args": [NOW, Decimal("1.50"), UUID(int=7), b"\xff\x00", b"text", date(2026, 1, 2), time(3, 4, 5)]},
    "pickle": {"args": (1, {2, 3})},
    "yaml": {},
    "msgpack": {"args": [2, b"\xff"]},
    "gzip": {},
    "bzip2": {},
    "stamps": {"args": [1, 2], "stamped_headers": ["sid"], "stamps": {"sid": "abc"}},
    "retry": {
        "retries": 2,
        "eta": NOW.replace(second=10),
        "root_id": "id-root",
        "time_limit": 30,
        "soft_time_limit": 20,
        "headers": {"tenant": "t1"},
    },
    "text-body": {"args": [1], "kwargs": {"text": 'say "headers":{ ☃'}},
    "protocol-1": {"args": [2], "kwargs": {"y": 3}, "eta": ETA, "time_limit": 9, "ignore_result": None},
    "redelivered": {"id": "id-plain"},
    "chain": {"args": [1, 1]},
    "group-0": {"args": [0], "group_index": 0},
    "group-1": {"args": [1], "group_index": 1},
    "chord-0": {"name": "celery.chord_unlock", "ignore_result": True, "eta": NOW.replace(second=1)},
    "chord-1": {"id": "id-chord-0", "args": [0], "group_index": 0},
    "chord-2": {"id": "id-chord-1", "args": [1], "group_index": 1},
}

UNCHECKED = {  # ids that Celery drew, signatures with such ids, and texts for people: looked at apart
    "chain": {"id", "root_id", "chain"},
    "group-0": {"group_id"},
    "group-1": {"group_id"},
    "chord-0": {"id", "root_id", "args", "kwargs"},
    "chord-1": {"group_id", "chord"},
    "chord-2": {"group_id", "chord"},
}


def message(name):
    return envelope.decode((GOLDEN / "messages" / f"{name}.json").read_bytes())


def call(name):
    return tasks.decode(message(name).message, accept=ALL)


def test_every_golden_message_is_checked():
    assert {path.stem for path in (GOLDEN / "messages").iterdir()} == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_is_read_field_by_field(name):
    expected = {"name": "golden.add", "id": f"id-{name}", "args": [2, 3], "kwargs": {}, "reply_to": OID}
    expected |= {"origin": None if name == "protocol-1" else "gen1@host", **MESSAGES[name]}
    expected.setdefault("root_id", expected["id"])
    read = call(name)
    passed_over = UNCHECKED.get(name, set()) | {"argsrepr", "kwargsrepr"}
    for field in read.__struct_fields__:
        expected.setdefault(field, getattr(NOTHING_SPECIAL, field))
    for field, value in expected.items():
        if field not in passed_over:
            assert getattr(read, field) == value, field


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_envelope_says_where_it_was_sent(name):
    read = message(name)
    assert (read.exchange, read.routing_key) == ("", "celery")
    assert read.priority == (5 if name == "priority" else 0)
    assert read.redelivered is (name == "redelivered")
    assert "redelivered" not in read.message.headers


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in {"pickle", "yaml", "msgpack"}])
@pytest.mark.parametrize("full", [True, False])
def test_a_golden_message_survives_being_written_by_us(name, full):
    read = call(name)
    written = tasks.encode(read, full=full)
    raw = envelope.encode(written, exchange="", routing_key="celery", priority=0, delivery_tag="t")
    again = tasks.decode(envelope.decode(raw).message, accept=JSON)
    for field in read.__struct_fields__:
        if not (full and field in {"argsrepr", "kwargsrepr", "ignore_result"} and getattr(read, field) is None):
            assert getattr(again, field) == getattr(read, field), field


def test_the_steps_of_a_chain_stand_in_reverse():
    chain = call("chain").chain
    assert [step["args"] for step in chain] == [[20], [10]]
    assert chain[0]["options"]["task_id"] == "id-chain"


def test_the_members_of_a_chord_carry_its_body():
    first, second = call("chord-1"), call("chord-2")
    assert first.group_id == second.group_id
    assert first.chord["options"] == {"task_id": "body", "reply_to": OID, "group_id": first.group_id}


@pytest.mark.parametrize("name", ["pickle", "yaml", "msgpack"])
def test_a_golden_message_of_another_type_is_refused_unread(name):
    with pytest.raises(exceptions.ContentDisallowed, match="is not accepted here"):
        tasks.decode(message(name).message, accept=JSON)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_identity_of_a_golden_message_can_be_seen(name):
    read = call(name)
    assert peek_identity(message(name).message) == (read.name, read.id)
    assert peek_retries(message(name).message) == read.retries


RESULTS = {
    "success.json": ("SUCCESS", {"sum": [5, 1.5, None]}),
    "tagged.json": ("SUCCESS", [NOW, b"\xff", Decimal("0.1")]),
    "failure.json": ("FAILURE", ValueError("bad", 3)),
    "failure-unwritable.json": ("FAILURE", ValueError("{1}", b"\xff")),
    "failure-soft-limit.json": ("FAILURE", exceptions.SoftTimeLimitExceeded(9)),
    "retry.json": ("RETRY", KeyError("k")),
    "started.json": ("STARTED", {"pid": 7, "hostname": "w1@host"}),
    "revoked.json": ("REVOKED", exceptions.TaskRevokedError("revoked")),
    "expired.json": ("REVOKED", exceptions.TaskRevokedError("expired")),
    "custom-state.json": ("PROGRESS", {"done": 3}),
    "in-group.json": ("SUCCESS", 1),
    "with-child.json": ("SUCCESS", 1),
    "extended.json": ("SUCCESS", 5),
    "compressed.bin": ("SUCCESS", "long " * 50),
    "failure.pickle": ("FAILURE", ValueError("bad", 3)),
}
APART = {"nan.json", "failure-nested.json", "failure-retry.json"}


def result(file):
    payload = (GOLDEN / "results" / file).read_bytes()
    serializer = "pickle" if file.endswith(".pickle") else "json"
    read = results.decode(payload, serializer=serializer, accept=ALL)
    assert results.state_of(payload, serializer=serializer) == read.state
    return read


def test_every_golden_result_is_checked():
    assert {path.name for path in (GOLDEN / "results").iterdir()} == RESULTS.keys() | APART


@pytest.mark.parametrize("file", RESULTS)
def test_a_golden_result_is_read(file):
    read = result(file)
    state, value = RESULTS[file]
    assert read.state == state
    if isinstance(value, BaseException):
        assert (type(read.result), read.result.args) == (type(value), value.args)
    else:
        assert read.result == value
    assert read.date_done == (NOW if state in {"SUCCESS", "FAILURE", "REVOKED"} else None)


@pytest.mark.parametrize("file", [name for name in RESULTS if name.endswith(".json")])
def test_a_golden_result_is_written_again_with_the_same_content(file):
    payload = (GOLDEN / "results" / file).read_bytes()
    written = results.encode(results.decode(payload, accept=JSON), extended=file == "extended.json")
    assert list(json.loads(written).items()) == list(json.loads(payload).items())


def test_nan_is_no_null_in_a_result():
    value = result("nan.json").result
    assert value != value  # noqa: PLR0124  only NaN differs from itself


def test_an_exception_class_of_elsewhere_gets_a_stand_in():
    error = result("failure-nested.json").result
    assert isinstance(error, exceptions.RemoteError)
    assert (type(error).__module__, type(error).__qualname__) == ("__main__", "Failing.Inner")
    assert error.args == ("deep",)


def test_a_retry_that_failed_is_our_retry():
    assert isinstance(result("failure-retry.json").result, exceptions.Retry)


def test_particulars_of_results_are_read():
    assert result("failure.json").traceback.endswith("ValueError: bad")
    assert (result("in-group.json").group_id, result("in-group.json").parent_id) == ("id-group", "id-parent")
    assert result("with-child.json").children == [[["id-child", None], None]]
    extended = result("extended.json")
    assert (extended.name, extended.args, extended.kwargs) == ("golden.add", [2], {"y": 3})
    assert (extended.worker, extended.retries, extended.queue) == ("w1@host", 1, "celery")
    assert (extended.stamped_headers, extended.stamps) == (["sid"], {"sid": "abc"})


VALUES = json.loads((GOLDEN / "values.json").read_bytes())


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_kombu_wrote_is_the_value_kombu_reads(name):
    value = json.loads(VALUES[name]["text"].encode())
    assert repr(value) == VALUES[name]["repr"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_kombu_wrote_is_written_the_same_by_us(name):
    import json as stdlib

    written = json.dumps(json.loads(VALUES[name]["text"]))
    assert repr(stdlib.loads(written)) == repr(stdlib.loads(VALUES[name]["text"]))
