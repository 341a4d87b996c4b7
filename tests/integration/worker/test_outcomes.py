"""What comes of a task: its value, its error, its next try, and what its handlers are told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from celeriac.exceptions import EncodeError, MaxRetriesExceededError, TaskRevokedError
from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 10.0


def test_a_failure_is_told_by_the_state_the_exception_the_traceback_and_the_log(place: Place) -> None:
    worker = place.worker("-c", "1")
    result = place.send("fail", "no such thing")
    with pytest.raises(ValueError, match="no such thing"):
        result.get(timeout=WAIT)
    assert result.state == "FAILURE"
    assert result.traceback is not None
    assert "shop.py" in result.traceback
    assert result.traceback.rstrip().endswith("ValueError: no such thing")
    assert "celeriac/worker" not in result.traceback
    assert f"Task shop.fail[{result.id}] raised unexpected" in worker.log
    assert "in fail" in worker.log
    assert isinstance(result.get(propagate=False), ValueError)


def test_retry_runs_once_and_max_retries_times_more_and_ends_with_the_original_exception(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("give_up", 0.01)
    with pytest.raises(KeyError, match="the key"):
        result.get(timeout=WAIT)
    assert result.state == "FAILURE"
    assert place.ledger.subjects("try") == ["0", "1", "2", "3"]


def test_a_task_that_succeeds_when_tried_again_succeeds(place: Place) -> None:
    worker = place.worker("-c", "1")
    result = place.send("third_time")
    assert result.get(timeout=WAIT) == 2
    assert place.ledger.subjects("try") == ["0", "1", "2"]
    assert f"Task shop.third_time[{result.id}] retry: Retry in 0.05s" in worker.log


def test_autoretry_backs_off_and_ends_with_the_exception(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("back_off")
    with pytest.raises(ConnectionResetError, match="gone"):
        result.get(timeout=WAIT)
    first, second, third = (line.moment for line in place.ledger.lines("try"))
    assert second - first >= 0.05
    assert third - second >= 0.1


def test_a_retry_without_an_exception_ends_with_max_retries_exceeded(sqlite_place: Place) -> None:
    sqlite_place.write(
        "stubborn",
        """
        from celeriac import Celery
        app = Celery("stubborn")

        @app.task(bind=True, max_retries=1)
        def again(self):
            raise self.retry(countdown=0)
        """,
    )
    sqlite_place.worker("-c", "1", app="stubborn")
    result = sqlite_place.app.send_task("stubborn.again")
    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry stubborn\.again"):
        result.get(timeout=WAIT)


def test_a_delayed_task_never_starts_early(place: Place) -> None:
    place.worker("-c", "2")
    sent = datetime.now(UTC)
    delays = {"0.4": {"countdown": 0.4}, "0.8": {"eta": sent + timedelta(seconds=0.8)}, "0": {}}
    for subject, options in delays.items():
        place.send("now", subject, **options)
    place.until_noted("now", 3)
    for line in place.ledger.lines("now"):
        subject, moment = line.subject.split()
        assert float(moment) - sent.timestamp() >= float(subject)


def test_an_expired_task_is_revoked_without_a_run(place: Place) -> None:
    late = place.send("mark", "late", expires=0.1)
    too_late = time.time() + 0.15
    until(lambda: time.time() > too_late)
    place.worker("-c", "1")
    with pytest.raises(TaskRevokedError, match="expired"):
        late.get(timeout=WAIT)
    assert late.state == "REVOKED"
    in_time = place.send("mark", "in time", expires=60)
    in_time.get(timeout=WAIT)
    assert place.ledger.subjects("done") == ["in time"]


@pytest.mark.parametrize(
    ("how", "events"),
    [
        (
            "return",
            {"before_start": 1, "on_success": 1, "on_failure": 0, "on_retry": 0, "after_return": 1},
        ),
        ("fail", {"before_start": 1, "on_success": 0, "on_failure": 1, "on_retry": 0, "after_return": 1}),
        ("retry", {"before_start": 2, "on_success": 1, "on_failure": 0, "on_retry": 1, "after_return": 1}),
    ],
)
def test_each_handler_is_called_as_often_as_it_should(place: Place, how: str, events: dict[str, int]) -> None:
    place.worker("-c", "1")
    result = place.app.send_task("shop.handled", (how,), {"then": 1})
    result.get(timeout=WAIT, propagate=False)
    assert {event: place.ledger.count(event) for event in events} == events


def test_handlers_are_told_what_celeries_are(sqlite_place: Place) -> None:
    sqlite_place.worker("-c", "1")
    ids = {}
    for how in ("return", "fail", "retry"):
        result = sqlite_place.app.send_task("shop.handled", (how,), {"then": 1})
        result.get(timeout=WAIT, propagate=False)
        ids[how] = result.id
    noted = sqlite_place.ledger.subjects
    assert noted("before_start")[0] == f"{ids['return']} ['return'] {{'then': 1}}"
    assert noted("on_success")[0] == f"'return' {ids['return']} ['return'] {{'then': 1}}"
    assert noted("on_failure") == [f"ValueError('fail') {ids['fail']} ['fail'] {{'then': 1}} True"]
    assert noted("on_retry") == [f"OSError('once') {ids['retry']} ['retry'] {{'then': 1}} True"]
    assert noted("after_return") == [
        f"SUCCESS 'return' {ids['return']} True",
        f"FAILURE ValueError('fail') {ids['fail']} False",
        f"SUCCESS 'retry' {ids['retry']} True",
    ]


def test_the_request_tells_a_task_about_its_call(place: Place) -> None:
    place.worker("-c", "1", "-n", "here@%h")
    result = place.app.send_task("shop.whoami", (1, "two"), {"three": 3.0}, headers={"trace": "abc"}, expires=60)
    told = result.get(timeout=WAIT)
    assert told.pop("hostname").startswith("here@")
    assert told == {
        "id": result.id,
        "task": "shop.whoami",
        "args": [1, "two"],
        "kwargs": {"three": 3.0},
        "retries": 0,
        "called_directly": False,
        "is_eager": False,
        "root_id": result.id,
        "parent_id": None,
        "queue": "celery",
        "redelivered": False,
        "headers": {"trace": "abc"},
        "expires": True,
        "same_task": True,
    }


def test_a_task_sent_by_a_task_knows_its_parent_and_root(place: Place) -> None:
    place.worker("-c", "1")
    parent = place.send("parent")
    child = place.app.AsyncResult(parent.get(timeout=WAIT)).get(timeout=WAIT)
    assert child["parent_id"] == child["root_id"] == parent.id


def test_progress_is_seen_by_a_client_while_the_task_runs(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("progress", 3)
    for step in range(3):
        until(lambda step=step: (result.state, result.info) == ("PROGRESS", {"step": step}), f"step {step}")
        (place.directory / f"go-{step}").touch()
    assert result.get(timeout=WAIT) == 3


def test_track_started_shows_that_a_task_runs_and_where(place: Place) -> None:
    place.worker("-c", "1", "-n", "tracked@%h", "--", "task_track_started=true")
    result = place.send("progress", 0)
    assert result.get(timeout=WAIT) == 0
    held = place.send("nap_until", "release")
    until(lambda: held.state == "STARTED", "the state STARTED")
    assert held.info["hostname"].startswith("tracked@")
    assert held.info["pid"] in place.workers[0].engines()
    (place.directory / "release").touch()
    assert held.get(timeout=WAIT) == "release"


def test_a_task_that_ignores_its_result_leaves_none(place: Place) -> None:
    place.worker("-c", "1")
    ignored = place.send("mark", "ran", ignore_result=True)
    place.until_noted("done")
    place.until_idle()
    assert ignored.get(timeout=WAIT) is None
    assert not place.app.AsyncResult(ignored.id).exists()


def test_results_are_forgotten_on_request(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("add", 1, 1)
    assert result.get(timeout=WAIT) == 2
    result.forget()
    assert place.app.AsyncResult(result.id).state == "PENDING"


def test_a_result_that_cannot_be_written_is_a_failure_that_says_so(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("give_back", "an object")
    with pytest.raises(EncodeError):
        result.get(timeout=WAIT)
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
