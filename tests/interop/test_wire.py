"""What we write, stock Celery reads: the bytes go to a process of its own environment, through its own code."""

import json as stdlib
import subprocess
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac import exceptions
from celeriac.wire import envelope, json, results, tasks
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall

pytestmark = pytest.mark.interop

READER = Path(__file__).parents[1] / "golden" / "read_by_stock.py"
ETA = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
STEP = {"task": "golden.echo", "args": [9], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": True}


@pytest.fixture(scope="module")
def stock(stock_interpreter):
    """Give a function that lets stock Celery read one thing."""
    command = [stock_interpreter, str(READER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(kind, raw):
            process.stdin.write(stdlib.dumps({"kind": kind, "raw": raw.decode()}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()
        process.wait(10)


CALLS = {
    "plain": TaskCall("golden.echo", "id", (2, 3)),
    "kwargs": TaskCall("golden.echo", "id", ("ä",), {"k": [1.5, None, True], "s": '"headers":{'}),
    "tagged": TaskCall("golden.echo", "id", (ETA, Decimal("1.50"), UUID(int=7), b"\xff", b"text", date(2026, 1, 2))),
    "surrogate": TaskCall("golden.echo", "id", ("\ud800", 2**70)),
    "moments": TaskCall("golden.echo", "id", eta=ETA, expires=FAR),
    "workflow": TaskCall(
        "golden.echo",
        "c-workflow",
        root_id="root",
        parent_id="parent",
        group_id="g",
        group_index=3,
        chain=[],
        retries=2,
    ),
    "links": TaskCall("golden.echo", "id", callbacks=[], errbacks=[STEP]),
    "limits": TaskCall("golden.echo", "id", time_limit=30, soft_time_limit=20.5),
    "headers": TaskCall("golden.echo", "id", headers={"tenant": "t", "deep": {"headers": {"priority": 1}}}),
    "stamps": TaskCall("golden.echo", "id", stamped_headers=["sid"], stamps={"sid": "abc"}),
    "reply": TaskCall("golden.echo", "id", reply_to="queue"),
}


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_a_stock_worker_runs_our_message(stock, name, full, compression):
    call = msgspec.structs.replace(CALLS[name], id=f"{name}-{full}-{compression}")
    message = tasks.encode(call, full=full, compression=compression)
    raw = envelope.encode(message, exchange="", routing_key="celery", priority=4, delivery_tag="t")
    found = stock("message", raw)
    assert found["args"] == list(call.args)
    assert found["kwargs"] == call.kwargs
    assert found["id"] == call.id
    assert found["root_id"] == (call.id if full and call.root_id is None else call.root_id)
    assert found["parent_id"] == call.parent_id
    assert found["retries"] == call.retries
    assert (found["group"], found["group_index"]) == (call.group_id, call.group_index)
    assert (found["timelimit"] or [None, None]) == [call.time_limit, call.soft_time_limit]
    assert (found["headers"] or {}) == call.headers
    assert found["reply_to"] == call.reply_to
    assert (found["stamps"] or None) == call.stamps
    assert (found["chain"], found["callbacks"], found["errbacks"]) == (call.chain, call.callbacks, call.errbacks)
    assert (found["priority"], found["routing_key"]) == (4, "celery")
    assert found["eta"] == (call.eta and call.eta.isoformat())
    assert found["expires"] == (call.expires and call.expires.isoformat())
    assert (found["chord"], found["ignore_result"]) == (call.chord, bool(call.ignore_result))


@pytest.mark.parametrize(
    ("exc", "name"),
    [
        (ValueError("bad", 3), "builtins.ValueError"),
        (exceptions.TaskRevokedError("revoked"), "celery.exceptions.TaskRevokedError"),
        (exceptions.SoftTimeLimitExceeded(9), "billiard.exceptions.SoftTimeLimitExceeded"),
        (exceptions.WorkerLostError("gone"), "billiard.exceptions.WorkerLostError"),
        (exceptions.OperationalError("down"), "kombu.exceptions.OperationalError"),
        (exceptions.ChordError("c"), "celery.exceptions.ChordError"),
        (exceptions.BrokerUnavailable("b"), "celery.exceptions.BrokerUnavailable"),
    ],
)
def test_a_stock_client_rebuilds_our_exception(stock, exc, name):
    found = stock("result", results.encode(TaskResult("t", "FAILURE", exc, traceback="tb", date_done=ETA)))
    assert found["result"] == [name, list(exc.args)]
    assert (found["status"], found["traceback"], found["date_done"]) == ("FAILURE", "tb", ETA.isoformat())


@pytest.mark.parametrize("value", [5, {"a": [1.5, None]}, [ETA, b"\xff"], float("inf"), "☃\ud800"])
def test_a_stock_client_reads_our_result(stock, value):
    written = TaskResult("t", "SUCCESS", value, children=[[["c", None], None]], group_id="g", parent_id="p")
    found = stock("result", results.encode(written))
    assert found["result"] == value
    assert (found["children"], found["group_id"], found["parent_id"]) == ([[["c", None], None]], "g", "p")


@pytest.mark.parametrize(
    "value",
    [
        ETA,
        ETA.replace(tzinfo=None),
        ETA.astimezone(timezone(timedelta(hours=5, minutes=45))),
        date(2026, 1, 2),
        time(1, 2, 3, 4),
        time(1, 2, tzinfo=UTC),
        Decimal("1.10"),
        Decimal("NaN"),
        UUID(int=5),
        b"",
        b"text",
        b"\xff\xfe",
        float("nan"),
        2**200,
        "\ud800",
        '\x00\x7f\u2028"\\ä☃😀',
        1e300,
        -0.0,
        {"a": [{"when": date(2026, 1, 1)}]},
    ],
)
def test_kombu_reads_the_value_that_we_wrote(stock, value):
    assert stock("value", json.dumps(value)) == repr(value)
    assert stock("value", json.dumps([value])) == repr([value])


rich = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.datetimes().map(lambda value: value.replace(fold=0))  # ISO text, kombu's form, has no place for it
    | st.datetimes(timezones=st.just(UTC)).map(lambda value: value.replace(fold=0))
    | st.dates()
    | st.times().map(lambda value: value.replace(fold=0))
    | st.uuids()
    | st.binary()
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(value=rich)
def test_kombu_reads_any_value_that_we_wrote(stock, value):
    assert stock("value", json.dumps(value)) == repr(value)
