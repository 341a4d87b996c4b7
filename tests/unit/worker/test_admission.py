"""From a delivery to a job, or to the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import signals
from celeriac.interfaces.broker import Delivery, Lease
from celeriac.testing.clock import EPOCH
from celeriac.wire.message import Message, Unreadable
from celeriac.worker.admission import Admitted, Expired, Job, Postponed, Refused, _some
from tests.unit.spine import Spine

NOW = datetime.fromtimestamp(EPOCH, UTC)
BODY = b'[[1], {"a": 2}, {"callbacks": null}]'

Admit = Callable[..., Admitted]


@pytest.fixture
def admit(make_spine: Callable[..., Spine]) -> Admit:
    """Return what admits a message with these headers and this body."""

    def do(
        body: Any = BODY, *, settings: dict[str, Any] | None = None, content_type: str | None = None, **headers: Any
    ):
        spine = make_spine(**(settings or {}))
        spine.app.task(name="work")(lambda *args, **kwargs: None)
        headers = {"task": "work", "id": "x", **headers}
        message = body if isinstance(body, Unreadable) else Message(headers, body)
        if content_type is not None:
            message = msgspec.structs.replace(message, content_type=content_type)
        return spine.admit(Delivery(Lease("celery", "1"), message))

    return do


def test_a_call_of_a_known_task_is_a_job(admit):
    job = admit()
    assert isinstance(job, Job)
    assert (job.runner.task.name, job.call.id, job.call.args, job.call.kwargs) == ("work", "x", [1], {"a": 2})
    assert job.delivery.lease == Lease("celery", "1")


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (Unreadable(b"\xff", "not JSON"), {}, "unreadable: not JSON"),
        (b"{", {}, "invalid message: "),
        (b"5", {}, "the body is int"),
        (b"[[], 5, {}]", {}, "kwargs: expected a mapping"),
        (b"[5, {}, {}]", {}, "args: expected a list"),
        (BODY, {"task": 5}, "task: Expected `str`"),
        (BODY, {"eta": "tomorrow"}, "eta: "),
        (BODY, {"expires": "never"}, "expires: "),
        (BODY, {"retries": "many"}, "retries: "),
    ],
)
def test_what_is_no_call_is_refused_with_the_reason(admit, body, headers, reason):
    refused = admit(body, **headers)
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_a_refused_call_whose_id_can_be_read_has_a_result_that_says_why(admit):
    refused = admit(b"[5, {}, {}]")
    assert (refused.result.task_id, refused.result.state) == ("x", "FAILURE")
    assert "args: expected a list" in str(refused.result.result)
    assert refused.result.date_done == NOW


def test_a_message_without_an_id_is_refused_without_a_result(admit):
    refused = admit(b"[5, {}, {}]", id=None)
    assert isinstance(refused, Refused)
    assert refused.result is None


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/x-yaml", "text/unheard-of"])
def test_content_that_is_not_accepted_is_refused_unread(admit, content_type):
    refused = admit(b"cos\nsystem\n(S'false'\ntR.", content_type=content_type)
    assert isinstance(refused, Refused)
    assert "content type not accepted" in refused.reason


def test_a_body_larger_than_allowed_is_refused(admit):
    refused = admit(b'[["' + b"x" * 500 + b'"], {}, {}]', settings={"task_message_max_bytes": 100})
    assert isinstance(refused, Refused)
    assert "larger than the limit of 100" in refused.reason


def test_a_task_that_is_not_known_is_refused_and_the_log_names_those_that_are(admit, caplog):
    refused = admit(task="unheard.of")
    assert (refused.reason, refused.result.state) == ("task unheard.of is not registered", "FAILURE")
    assert str(refused.result.result) == "unheard.of"
    assert "unheard.of[x]. Did you import the module" in caplog.text
    assert "Known tasks: work" in caplog.text


def test_of_many_known_tasks_the_log_names_ten():
    assert _some([]) == "none"
    assert _some(["a", "b"]) == "a, b"
    assert _some([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_a_task_that_is_not_known_may_wait_for_a_worker_that_knows_it(admit):
    postponed = admit(task="unheard.of", settings={"task_unknown_policy": "wait"})
    assert isinstance(postponed, Postponed)
    assert postponed.delay == 5.0


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 1, 1e6])
def test_a_call_that_came_too_late_is_revoked(admit, late):
    expired = admit(expires=(NOW - timedelta(seconds=late)).isoformat())
    assert isinstance(expired, Expired)
    assert (expired.result.task_id, expired.result.state, str(expired.result.result)) == ("x", "REVOKED", "expired")


def test_a_call_that_came_in_time_is_a_job(admit):
    assert isinstance(admit(expires=(NOW + timedelta(seconds=1)).isoformat()), Job)


def test_a_call_that_comes_before_its_time_goes_back_for_the_rest_of_it(admit):
    postponed = admit(eta=(NOW + timedelta(seconds=90)).isoformat())
    assert isinstance(postponed, Postponed)
    assert postponed.delay == 90


def test_a_call_whose_time_has_come_is_a_job(admit):
    assert isinstance(admit(eta=NOW.isoformat()), Job)


def test_a_call_that_expires_before_it_may_start_waits_and_expires_then(admit):
    times = {"eta": (NOW + timedelta(seconds=9)).isoformat(), "expires": (NOW + timedelta(seconds=5)).isoformat()}
    assert isinstance(admit(**times), Postponed)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
@pytest.mark.parametrize("header", ["eta", "expires"])
def test_moments_at_the_ends_of_time_are_decided_like_any_other(admit, header, moment):
    assert isinstance(admit(**{header: moment}), Job | Postponed | Expired)


# -- anything that a sender can write ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
HEADER = st.sampled_from(
    ["task", "id", "eta", "expires", "retries", "timelimit", "group", "stamps", "compression", "z"]
)


@given(st.dictionaries(HEADER, JSON, max_size=5), st.binary(max_size=40) | JSON.map(msgspec.json.encode))
def test_no_message_can_make_it_raise(headers, body):
    spine = Spine()
    spine.app.task(name="work")(lambda: None)
    admitted = spine.admit(Delivery(Lease("celery", "1"), Message({"task": "work", "id": "x", **headers}, body)))
    assert isinstance(admitted, Job | Refused | Postponed | Expired)


# -- who is told -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "headers", "field", "value"),
    [
        (signals.task_unknown, {"task": "unheard.of"}, "name", "unheard.of"),
        (signals.task_rejected, {"task": 5}, "sender", None),
        (signals.task_revoked, {"expires": "2020-01-01T00:00:00+00:00"}, "expired", True),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_receivers_are_told(admit, signal, headers, field, value):
    told: list[dict[str, Any]] = []

    def note(**fields: Any) -> None:
        told.append(fields)

    signal.connect(note)
    admit(**headers)
    signal.disconnect(note)
    assert [fields[field] for fields in told] == [value]
