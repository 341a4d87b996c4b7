import json as stdlib
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import exceptions, states
from celeriac.exceptions import CeleriacError, ContentDisallowed, DecodeError, EncodeError, RemoteError
from celeriac.wire import compression, content, results
from celeriac.wire.results import TaskResult

NOW = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
JSON = content.accepted(["json"])
ALL = content.accepted(["json", "pickle", "yaml", "msgpack"])


def back(result, serializer="json", **options):
    return results.decode(results.encode(result, serializer=serializer, **options), serializer=serializer, accept=ALL)


def test_the_keys_are_celerys_and_in_its_order():
    payload = results.encode(TaskResult("t", "SUCCESS", 5, date_done=NOW, group_id="g", parent_id="p"))
    assert list(stdlib.loads(payload)) == [
        "status", "result", "traceback", "children", "date_done", "group_id", "parent_id", "task_id",
    ]  # fmt: skip
    assert stdlib.loads(payload)["date_done"] == "2026-11-22T12:00:00.000005+00:00"


def test_particulars_are_written_only_where_they_are_asked_for():
    whole = TaskResult(
        "t", "SUCCESS", 5, name="n", args=[1], kwargs={"k": 2}, worker="w", retries=1, queue="q",
        stamped_headers=["sid"], stamps={"sid": "abc"},
    )  # fmt: skip
    assert back(whole, extended=True) == whole
    assert back(whole) == TaskResult("t", "SUCCESS", 5)
    assert stdlib.loads(results.encode(whole, extended=True))["sid"] == "abc"


@pytest.mark.parametrize("state", sorted(states.EXCEPTION_STATES))
def test_an_exception_comes_back_in_the_states_that_have_one(state):
    read = back(TaskResult("t", state, ValueError("bad", 3), traceback="tb"))
    assert (type(read.result), read.result.args, read.traceback) == (ValueError, ("bad", 3), "tb")


def test_a_value_that_looks_like_an_exception_is_a_value_in_other_states():
    value = {"exc_type": "ValueError", "exc_message": [], "exc_module": "builtins"}
    assert back(TaskResult("t", "SUCCESS", value)).result == value


def test_a_failure_without_exception_is_read():
    assert back(TaskResult("t", "FAILURE", None)).result is None
    assert isinstance(back(TaskResult("t", "FAILURE", "text")).result, RemoteError)


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack", "pickle"])
def test_results_survive_each_serializer(serializer):
    result = TaskResult("t", "SUCCESS", {"a": [1, "x"]}, date_done=NOW, children=[[["c", None], None]])
    assert back(result, serializer) == result
    assert results.state_of(results.encode(result, serializer=serializer), serializer=serializer) == "SUCCESS"
    failure = back(TaskResult("t", "FAILURE", ValueError("bad")), serializer)
    assert (type(failure.result), failure.result.args) == (ValueError, ("bad",))


def test_pickle_carries_the_exception_itself():
    assert (
        type(pickle.loads(results.encode(TaskResult("t", "FAILURE", KeyError(1)), serializer="pickle"))["result"])
        is KeyError
    )


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError


@pytest.mark.parametrize("exc", [Unpicklable("u"), exceptions.ChordError("ours: stock Celery has no such module")])
def test_pickle_describes_an_exception_that_a_stock_reader_could_not_load(exc):
    payload = results.encode(TaskResult("t", "FAILURE", exc), serializer="pickle")
    assert isinstance(pickle.loads(payload)["result"], dict)
    assert back(TaskResult("t", "FAILURE", exc), "pickle").result.args == exc.args


def test_a_value_that_cannot_be_written_is_named():
    with pytest.raises(EncodeError, match=r"result of task n\[t\]: cannot write object at result.a as json"):
        results.encode(TaskResult("t", "SUCCESS", {"a": object()}, name="n"))
    with pytest.raises(EncodeError, match="result of task t: cannot write object"):
        results.encode(TaskResult("t", "SUCCESS", object()))


def test_a_type_that_is_not_accepted_is_refused():
    payload = results.encode(TaskResult("t", "SUCCESS", 1), serializer="pickle")
    with pytest.raises(ContentDisallowed):
        results.decode(payload, serializer="pickle", accept=JSON)
    with pytest.raises(ContentDisallowed):
        results.state_of(payload, serializer="pickle", accept=JSON)


def test_a_compressed_result_is_read():
    body, mime = compression.compress(results.encode(TaskResult("t", "SUCCESS", "x" * 1000)), "gzip")
    payload = b"\x00celery-compressed\x00" + mime.encode() + b"\x00" + body
    assert results.decode(payload, accept=JSON).result == "x" * 1000
    assert results.state_of(payload) == "SUCCESS"


@pytest.mark.parametrize(
    "date_done", ["2026-11-22T12:00:00.000005", "2026-11-22T13:00:00.000005+01:00", NOW.timestamp()]
)
def test_moments_of_other_writers_are_utc(date_done):
    payload = stdlib.dumps({"status": "SUCCESS", "task_id": "t", "date_done": date_done}).encode()
    assert results.decode(payload, accept=JSON).date_done == NOW


def test_the_state_is_seen_without_reading_the_value():
    payload = b'{"result": {"status": "inner", "n": NaN}, "status": "STARTED", "task_id": "t"}'
    assert results.state_of(payload) == "STARTED"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "broken"),
        (b"[]", "not a stored result"),
        (b"{}", "status"),
        (b'{"status":1,"task_id":"t"}', "status"),
        (b'{"status":"SUCCESS"}', "task_id"),
        (b'{"status":"SUCCESS","task_id":"t","date_done":"soon"}', "no moment"),
        (b'{"status":"SUCCESS","task_id":"t","children":3}', "children"),
        (b'{"status":"FAILURE","task_id":"t","result":{"a":1}}', "describes no exception"),
        (b"\x00celery-compressed\x00application/x-gzip\x00junk", "broken application/x-gzip"),
        (b"\x00celery-compressed\x00", "unknown compression"),
    ],
)
def test_what_is_no_result_is_a_decode_error_with_the_reason(payload, reason):
    with pytest.raises(DecodeError, match=reason):
        results.decode(payload, accept=JSON)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"status":1}', b"\xff", b"[" * 300_000])
def test_what_has_no_state_is_a_decode_error(payload):
    with pytest.raises(DecodeError):
        results.state_of(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ids = st.text(min_size=1)


@given(
    st.builds(
        TaskResult,
        task_id=ids,
        state=st.sampled_from(["SUCCESS", "STARTED", "PROGRESS"]),
        result=json_values,
        traceback=st.none() | st.text(),
        children=st.none() | st.lists(json_values, max_size=3),
        date_done=st.none() | st.datetimes(timezones=st.just(UTC)),
        group_id=st.none() | ids,
        parent_id=st.none() | ids,
        name=st.none() | st.text(),
        args=json_values,
        kwargs=json_values,
        worker=st.none() | st.text(),
        retries=st.none() | st.integers(),
        queue=st.none() | st.text(),
    )
)
def test_any_result_survives(result):
    assert back(result, extended=True) == result
    assert results.state_of(results.encode(result)) == result.state


@given(st.sampled_from((*TaskResult.__struct_fields__, "status")), json_values, st.sampled_from(["SUCCESS", "FAILURE"]))
def test_any_value_in_any_place_is_read_or_is_one_of_our_errors(key, value, state):
    payload = stdlib.dumps({"status": state, "task_id": "t", key: value}).encode()
    try:
        results.decode(payload, accept=JSON)
    except CeleriacError:
        pass


@given(st.binary())
def test_any_bytes_are_read_or_are_one_of_our_errors(payload):
    for read in (lambda: results.decode(payload, accept=JSON), lambda: results.state_of(payload)):
        try:
            read()
        except CeleriacError:
            pass
