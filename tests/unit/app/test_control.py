"""What revokes: results, sets, groups, and ``app.control``."""

from __future__ import annotations

import threading

import pytest

from celeriac.exceptions import ImproperlyConfigured, RevocationNotKept, TaskRevokedError
from celeriac.interfaces.pubsub import Channel, Post
from celeriac.interfaces.revocations import Revocation
from celeriac.result.groups import GroupResult
from celeriac.result.handle import AsyncResult
from celeriac.result.reader import ResultReader
from celeriac.wire import control as wire


@pytest.fixture
def ear(spine):
    """What hears what a node would."""
    subscription = spine.app.pubsub.subscribe([Channel("celery.pidbox")])
    yield subscription
    subscription.close()


def kept(spine) -> list[tuple[str, str, float]]:
    return [(one.task_id, one.signal, round(one.ttl)) for one in spine.app.stores.revocations.since(0)[1]]


def said(ear) -> list[wire.Request]:
    return [wire.decode(post.message) for post in ear.get(limit=100, wait=0)]


def test_it_is_written_down_and_then_announced(spine, ear):
    spine.app.control.revoke("x", terminate=True)
    assert kept(spine) == [("x", "SIGTERM", 10_800)]
    (request,) = said(ear)
    assert request.method == "revoke"
    assert request.arguments == {"task_id": ["x"], "terminate": True, "signal": "SIGTERM", "expires": 10_800.0}
    assert request.reply_to is None


def test_a_result_revokes_its_task(spine, ear):
    spine.app.AsyncResult("x").revoke()
    spine.app.AsyncResult("y").revoke(terminate=True, signal="KILL")
    assert kept(spine) == [("x", "", 10_800), ("y", "SIGKILL", 10_800)]
    assert [request.arguments["task_id"] for request in said(ear)] == [["x"], ["y"]]


def test_a_set_and_a_group_revoke_theirs_in_one_step(spine, ear):
    app = spine.app
    inner = app.GroupResult("g", [app.AsyncResult("b"), app.AsyncResult("c")])
    group: GroupResult = app.GroupResult("h", [app.AsyncResult("a"), inner])
    group.revoke()
    app.ResultSet([app.AsyncResult("d"), app.AsyncResult("a")]).revoke(terminate=True)
    assert kept(spine) == [
        *((name, "", 10_800) for name in "abc"),
        ("d", "SIGTERM", 10_800),
        ("a", "SIGTERM", 10_800),
    ]
    assert len(said(ear)) == 2


def test_how_long_it_is_remembered_is_a_setting_and_may_be_said(make_spine):
    spine = make_spine(task_revoke_expires=60)
    spine.app.control.revoke("x")
    spine.app.control.terminate(["y"], signal=9, expires=600)
    assert kept(spine) == [("x", "", 60), ("y", "SIGKILL", 600)]


def test_stamps_are_revoked_as_text(spine, ear):
    spine.app.control.revoke_by_stamped_headers({"order": [1, "2"], "tenant": "t"})
    spine.app.AsyncResult("x").revoke_by_stamped_headers({"order": "3"}, terminate=True)
    stamps = [(one.header, one.stamp, one.signal) for one in spine.app.stores.revocations.since(0)[1]]
    assert stamps == [("order", "1", ""), ("order", "2", ""), ("tenant", "t", ""), ("order", "3", "SIGTERM")]
    assert [request.method for request in said(ear)] == ["revoke_by_stamped_headers"] * 2


def test_what_is_for_some_nodes_is_not_written_down(spine, ear):
    spine.app.control.revoke("x", destination=["w@h"])
    assert kept(spine) == []
    (request,) = said(ear)
    assert request.destination == ["w@h"]


def test_nothing_to_revoke_is_nothing_said(spine, ear):
    spine.app.control.revoke([])
    spine.app.ResultSet().revoke()
    spine.app.control.revoke_by_stamped_headers({})
    assert said(ear) == []


def test_a_signal_that_is_none_is_refused_before_anything_is_done(spine, ear):
    with pytest.raises(ValueError, match="There is no signal 'SIGNO'"):
        spine.app.control.revoke("x", terminate=True, signal="SIGNO")
    assert (kept(spine), said(ear)) == ([], [])


def test_answers_are_gathered_until_there_are_enough(spine, ear):
    def answer():
        (post,) = ear.get(limit=1, wait=10)
        request = wire.decode(post.message)
        place = Channel(request.reply_to.exchange, "direct", request.reply_to.routing_key)
        for name in ("one@h", "two@h"):
            spine.app.pubsub.publish([Post(place, wire.encode_reply(name, {"ok": 1}, ticket=request.ticket))])

    node = threading.Thread(target=answer)
    node.start()
    seen = []
    found = spine.app.control.revoke("x", reply=True, timeout=10, limit=2, callback=seen.append)
    node.join()
    assert found == seen == [{"one@h": {"ok": 1}}, {"two@h": {"ok": 1}}]


def test_where_nobody_answers_there_is_nothing_after_a_while(spine):
    assert spine.app.control.revoke("x", reply=True, timeout=0.01) == []


def test_without_a_place_to_keep_it_the_caller_is_warned(spine, ear, monkeypatch):
    monkeypatch.setattr(type(spine.app.stores), "revocations", None)
    with pytest.warns(RevocationNotKept, match="set\\s+result_backend|Set result_backend"):
        spine.app.control.revoke("x")
    assert len(said(ear)) == 1


@pytest.mark.parametrize(
    "revoke",
    [
        lambda app: app.control.revoke("x"),
        lambda app: app.control.terminate("x"),
        lambda app: app.control.revoke_by_stamped_headers({"order": "1"}),
        lambda app: app.AsyncResult("x").revoke(),
        lambda app: app.ResultSet([app.AsyncResult("x")]).revoke(),
    ],
)
def test_the_warning_names_the_callers_own_line(spine, monkeypatch, revoke):
    monkeypatch.setattr(type(spine.app.stores), "revocations", None)
    with pytest.warns(RevocationNotKept) as told:
        revoke(spine.app)
    assert [(one.filename, one.lineno) for one in told] == [(__file__, revoke.__code__.co_firstlineno)]


def test_a_result_without_an_application_cannot_revoke():
    reader = ResultReader(lambda: None, serializer="json", accept=frozenset(), handle_on=str)
    with pytest.raises(ImproperlyConfigured, match=r"app\.control\.revoke"):
        AsyncResult("x", reader).revoke()


def test_an_eager_result_says_that_it_was_revoked(spine):
    result = spine.app.task(name="work")(lambda: 7).apply()
    result.revoke(terminate=True)
    assert (result.state, result.traceback) == ("REVOKED", None)
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get()
    assert isinstance(result.get(propagate=False), TaskRevokedError)


def test_the_same_store_tells_workers_of_it(spine):
    spine.app.control.revoke("x")
    assert [one.task_id for one in spine.another().stores.revocations.since(0)[1]] == ["x"]
    assert isinstance(spine.app.stores.revocations.since(0)[1][0], Revocation)
