"""What is revoked does not run, whoever restarts; what runs ends, where it is asked to."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from celeriac import AsyncResult, Celeriac, chain, chord, group
from celeriac.exceptions import ChordError, RevocationNotKept, TaskRevokedError
from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 12.0


def send(place: Place, name: str, *args, **options) -> AsyncResult:
    return place.app.send_task(f"stage.{name}", args, **options)


def is_revoked(result: AsyncResult, reason: str = "revoked") -> None:
    with pytest.raises(TaskRevokedError, match=f"^{reason}$"):
        result.get(timeout=WAIT)
    assert result.state == "REVOKED"


# -- before it has begun ----------------------------------------------------------------------------------------------


def test_what_was_revoked_before_any_worker_was_there_never_runs(place: Place) -> None:
    revoked, other = send(place, "rest", 0, "revoked"), send(place, "rest", 0, "other")
    revoked.revoke()
    place.worker("-c", "1", app="stage")
    is_revoked(revoked)
    other.get(timeout=WAIT)
    place.until_idle()
    assert place.ledger.subjects("begin") == ["other"]
    assert place.ledger.subjects("revoked") == [f"{revoked.id} False None False"]


def test_what_waits_behind_others_is_revoked_when_its_turn_comes(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    first = send(place, "walk", 0.5, "first")
    place.until_noted("begin")
    waiting = [send(place, "rest", 0, str(number)) for number in range(5)]
    place.app.control.revoke([result.id for result in waiting[1:]])
    first.get(timeout=WAIT)
    waiting[0].get(timeout=WAIT)
    for result in waiting[1:]:
        is_revoked(result)
    assert place.ledger.subjects("begin") == ["first", "0"]


def test_a_delayed_task_is_revoked_at_its_moment(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "rest", 0, "late", countdown=0.5)
    result.revoke()
    is_revoked(result)
    place.until_idle()
    assert place.ledger.count("begin") == 0


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_task_that_is_delayed_for_long_is_revoked_at_once(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    app = place.app
    results = [send(place, "rest", 0, str(number), countdown=86_400) for number in range(20)]
    members = [app.signature("stage.say", (1,)), app.signature("stage.say", (2,)).set(countdown=86_400)]
    result = chord(members)(app.signature("stage.say"))
    results[7].revoke()
    result.parent.results[1].revoke()
    is_revoked(results[7])
    with pytest.raises(ChordError, match="TaskRevokedError"):
        app.AsyncResult(result.id).get(timeout=WAIT)
    assert {other.state for other in results} == {"PENDING", "REVOKED"}
    assert place.stats().delayed == 19
    assert place.ledger.count("begin") == 0


def test_a_task_that_is_revoked_while_it_runs_is_not_tried_again(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "wait_and_try_again", 0.3, "it")
    place.until_noted("begin")
    result.revoke()
    is_revoked(result)
    place.until_idle()
    assert place.ledger.count("begin") == 1
    assert place.ledger.subjects("revoked") == [f"{result.id} False None False"]


def test_a_task_that_is_tried_again_is_not_any_more(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "try_again", "it")
    place.until_noted("try", 2)
    result.revoke()
    is_revoked(result)
    tries = place.ledger.count("try")
    place.until_idle()
    assert place.ledger.count("try") == tries


def test_a_task_that_runs_goes_on_without_terminate(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "walk", 0.3, "it")
    place.until_noted("begin")
    result.revoke()
    assert result.get(timeout=WAIT) is None
    assert result.state == "SUCCESS"


def test_thousands_of_ids_are_known_to_every_engine_at_once(place: Place) -> None:
    sent = place.send_many("mark", [(number,) for number in range(2000)])
    place.app.control.revoke([result.id for result in sent[100:]])
    place.worker("-c", "2")
    until(lambda: place.ledger.count("done") >= 100, "those that are not revoked")
    place.until_idle()
    assert sorted(map(int, place.ledger.subjects("done"))) == list(range(100))
    assert {result.state for result in sent[100::100]} == {"REVOKED"}


def test_a_workflow_ends_where_a_task_of_it_is_revoked(place: Place) -> None:
    app = place.app
    say = lambda *args: app.signature("stage.say", args)
    member = say(1).set(countdown=0.3, link_error=app.signature("stage.told"))
    whole = chord([say(2), member, say(3)], say())
    result = whole.apply_async()
    steps = chain(say(1).set(countdown=0.3), say(), say()).apply_async()
    revoked = result.parent.results[1]
    revoked.revoke()
    steps.parent.parent.revoke()
    place.worker("-c", "2", app="stage")
    with pytest.raises(ChordError, match=rf"Dependency {revoked.id} raised TaskRevokedError\('revoked'\)"):
        app.AsyncResult(result.id).get(timeout=WAIT)
    is_revoked(app.AsyncResult(steps.id))
    is_revoked(app.AsyncResult(steps.parent.id))
    assert place.ledger.count("said") == 2


def test_a_group_is_revoked_as_a_whole(place: Place) -> None:
    app = place.app
    result = group(app.signature("stage.rest", (0, str(number))) for number in range(10)).apply_async()
    result.revoke()
    place.worker("-c", "2", app="stage")
    for member in result.results:
        is_revoked(member)
    assert place.ledger.count("begin") == 0


def test_what_has_a_stamp_is_revoked_by_it_also_what_is_sent_later(place: Place) -> None:
    app = place.app

    def stamped(subject: str, **stamps: object) -> AsyncResult:
        sig = app.signature("stage.rest", (0, subject))
        sig.stamp(**stamps)
        return sig.apply_async()

    before = stamped("before", order="4711")
    app.control.revoke_by_stamped_headers({"order": ["4711", "4712"]})
    place.worker("-c", "1", app="stage")
    later, other = stamped("later", order=4712), stamped("other", order="4713")
    other.get(timeout=WAIT)
    is_revoked(before)
    is_revoked(later)
    assert place.ledger.subjects("begin") == ["other"]


# -- while it runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pool", [("-c", "1"), ("-P", "solo"), ("-P", "threads", "-c", "2")], ids=["prefork", "solo", "threads"]
)
def test_what_runs_is_ended_and_its_engine_goes_on(place: Place, pool: tuple[str, ...]) -> None:
    worker = place.worker(*pool, app="stage")
    engines = worker.engines()
    task = "walk" if "threads" in pool else "rest"
    result = send(place, task, 60, "it")
    place.until_noted("begin")
    result.revoke(terminate=True)
    is_revoked(result, "terminated")
    assert send(place, "say", 7).get(timeout=WAIT) == [7]
    place.until_idle()
    assert (place.ledger.count("begin"), place.ledger.count("end")) == (1, 0)
    if task == "rest":
        assert place.ledger.count("tidied") == 1
    assert place.ledger.subjects("revoked") == [f"{result.id} True 15 False"]
    assert worker.engines() == engines


@pytest.mark.parametrize("pool", [("-c", "1"), ("-P", "solo")], ids=["prefork", "solo"])
def test_a_coroutine_is_cancelled_and_others_go_on(place: Place, pool: tuple[str, ...]) -> None:
    place.worker(*pool, app="stage")
    result, other = send(place, "float_by", 60, "it"), send(place, "float_by", 1, "other")
    place.until_noted("begin", 2)
    result.revoke(terminate=True)
    is_revoked(result, "terminated")
    other.get(timeout=WAIT)
    assert sorted(place.ledger.subjects("tidied")) == ["it", "other"]
    assert place.ledger.subjects("end") == ["other"]


def test_what_goes_on_all_the_same_is_killed_and_not_run_again(place: Place) -> None:
    worker = place.worker("-c", "1", app="stage")
    (engine,) = worker.engines()
    result = send(place, "go_on", 60, "it")
    place.until_noted("begin")
    result.revoke(terminate=True)
    is_revoked(result, "terminated")
    assert send(place, "say", 7).get(timeout=WAIT) == [7]
    assert place.ledger.count("begin") == place.ledger.count("caught") == 1
    assert engine not in worker.engines()
    assert place.ledger.subjects("revoked") == [f"{result.id} True 15 False"]


def test_threads_are_not_killed_for_one_that_goes_on(sqlite_place: Place) -> None:
    place = sqlite_place
    worker = place.worker("-P", "threads", "-c", "2", app="stage")
    engines = worker.engines()
    result, other = send(place, "go_on", 7, "it"), send(place, "walk", 7, "other")
    place.until_noted("begin", 2)
    result.revoke(terminate=True, signal="SIGKILL")
    assert other.get(timeout=WAIT) is None
    assert result.get(timeout=WAIT) is None
    assert worker.engines() == engines
    assert place.ledger.subjects("caught") == ["it"]


def test_kill_is_at_once_and_nobody_counts_it_as_a_crash(place: Place) -> None:
    worker = place.worker("-c", "1", app="stage", CELERIAC_TASK_MAX_CRASHES="1")
    (engine,) = worker.engines()
    asked = time.monotonic()
    result = send(place, "go_on", 60, "it")
    place.until_noted("begin")
    result.revoke(terminate=True, signal="SIGKILL")
    is_revoked(result, "terminated")
    assert time.monotonic() - asked < 4.5  # before the time is up that others get
    assert place.ledger.count("begin") == 1
    assert engine not in worker.engines()
    assert place.stats().dead == 0


def test_an_engine_that_is_stuck_is_killed(place: Place) -> None:
    place.worker("-c", "1")
    result = place.send("hog", 60)
    place.until_noted("begin")
    result.revoke(terminate=True)
    is_revoked(result, "terminated")
    assert place.send("add", 1, 2).get(timeout=WAIT) == 3
    assert place.ledger.count("begin") == 1


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_what_acknowledged_early_is_ended_too(place: Place, signal: str) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "rest_early", 60, "it")
    place.until_noted("begin")
    result.revoke(terminate=True, signal=signal)
    is_revoked(result, "terminated")
    assert send(place, "say", 7).get(timeout=WAIT) == [7]
    assert place.ledger.count("begin") == 1


def test_a_task_that_would_be_tried_again_is_not_when_it_is_ended(place: Place) -> None:
    place.worker("-c", "1", app="stage")
    result = send(place, "persist", 60, "it")
    place.until_noted("begin")
    result.revoke(terminate=True)
    is_revoked(result, "terminated")
    place.until_idle()
    assert place.ledger.count("begin") == 1


def test_a_task_that_ends_well_after_it_was_told_to_end_has_succeeded(sqlite_place: Place) -> None:
    sqlite_place.worker("-c", "1", app="stage")
    result = send(sqlite_place, "give_in", "it")
    sqlite_place.until_noted("begin")
    result.revoke(terminate=True)
    assert result.get(timeout=WAIT) == "half done"


def test_what_runs_with_a_stamp_is_ended_by_it(place: Place) -> None:
    place.worker("-c", "2", app="stage")
    sig = place.app.signature("stage.rest", (60, "it"))
    sig.stamp(order="4711")
    result, other = sig.apply_async(), send(place, "rest", 1, "other")
    place.until_noted("begin", 2)
    result.revoke_by_stamped_headers({"order": "4711"}, terminate=True)
    is_revoked(result, "terminated")
    other.get(timeout=WAIT)
    assert place.ledger.subjects("end") == ["other"]


def test_a_workflow_ends_where_a_task_of_it_is_ended(place: Place) -> None:
    app = place.app
    place.worker("-c", "2", app="stage")
    result = chord(
        [app.signature("stage.say", (1,)), app.signature("stage.rest", (60, "it"))], app.signature("stage.say")
    ).apply_async()
    place.until_noted("begin")
    member = result.parent.results[1]
    member.revoke(terminate=True)
    is_revoked(member, "terminated")
    with pytest.raises(ChordError, match=rf"Dependency {member.id} raised TaskRevokedError\('terminated'\)"):
        app.AsyncResult(result.id).get(timeout=WAIT)


# -- who is told ------------------------------------------------------------------------------------------------------


def test_nodes_answer_who_waits_for_it(place: Place) -> None:
    place.worker("-c", "1", "-n", "one@here", app="stage")
    place.worker("-c", "1", "-n", "two@here", app="stage")
    control = place.app.control
    answers = control.revoke("no-such", reply=True, limit=2, timeout=WAIT)
    said = {"ok": "tasks no-such flagged as revoked"}
    assert sorted(name for answer in answers for name in answer) == ["one@here", "two@here"]
    assert [answer for each in answers for answer in each.values()] == [said, said]
    assert control.revoke("x", destination=["two@here"], reply=True, timeout=WAIT) == [
        {"two@here": {"ok": "tasks x flagged as revoked"}}
    ]
    assert control.broadcast("ping", reply=True, timeout=0.2) == []
    (answer,) = control.broadcast("revoke", {"task_id": 3}, destination=["one@here"], reply=True, timeout=WAIT)
    assert "error" in answer["one@here"]


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_node_learns_of_what_was_only_written_down(place: Place) -> None:
    """The client died between the two steps, or the announcement was lost."""
    place.worker("-c", "1", app="stage")
    blocker = send(place, "walk", 0.5, "blocker")
    place.until_noted("begin")
    result = send(place, "rest", 0, "it")
    silent = place.client()
    silent.control._pubsub = lambda: None
    silent.control.revoke(result.id)
    blocker.get(timeout=WAIT)
    is_revoked(result)
    assert place.ledger.subjects("begin") == ["blocker"]


def test_without_a_place_to_keep_it_the_caller_is_warned_and_workers_are_told(make_place: Callable[..., Place]) -> None:
    place = make_place("rabbitmq")
    place.results = "rpc://"
    place.worker("-c", "1", app="stage")
    app: Celeriac = place.client()
    blocker = app.send_task("stage.walk", (0.5, "blocker"))
    place.until_noted("begin")
    waiting, running = app.send_task("stage.rest", (0, "waiting")), None
    with pytest.warns(RevocationNotKept, match="No store keeps what is revoked"):
        waiting.revoke(wait=True)
    blocker.get(timeout=WAIT)
    is_revoked(waiting)
    running = app.send_task("stage.go_on", (60, "running"))
    place.until_noted("begin", 2)
    with pytest.warns(RevocationNotKept):
        running.revoke(terminate=True, signal="KILL")
    is_revoked(running, "terminated")
    assert place.ledger.subjects("begin") == ["blocker", "running"]
