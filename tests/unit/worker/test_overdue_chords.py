"""What becomes of chords whose members have all ended and whose end nobody saw to in time."""

from __future__ import annotations

import pytest

from celeriac import chord, states
from celeriac.exceptions import BrokerError, ChordError
from celeriac.interfaces.groups import ChordPart, NewChord
from celeriac.wire import groups as wire
from celeriac.wire import json
from celeriac.worker.chords import ChordEnds, sequels_of
from tests.unit.spine import Spine

BODY = {
    "task": "total", "args": [], "kwargs": {}, "options": {"task_id": "the-body"}, "subtask_type": None,
    "immutable": False,
}  # fmt: skip


@pytest.fixture
def ends(spine: Spine) -> ChordEnds:
    """A chord whose only member was counted by somebody who then died."""
    store = spine.app.groups
    assert store is not None
    store.open([NewChord("c", 1, json.dumps(BODY), deadline=spine.clock.now() + 10, ttl=100.0)])
    payload = wire.encode_part("m", states.SUCCESS, 1, serializer="json")
    assert list(store.join([ChordPart("c", "m", 0, payload, 100.0)])) == [True]
    spine.clock.advance(11)
    return sequels_of(spine.app)[1]


def test_the_body_is_sent_where_it_was_not(spine, ends):
    ends.sweep()
    assert spine.app.broker.stats(["celery"])["celery"].ready == 1
    assert list(spine.app.groups.overdue(now=spine.clock.now() + 1000, again=0.0, limit=9)) == []


def test_a_body_that_has_ended_is_not_sent_once_more(spine, ends):
    spine.app.writer.write_state("the-body", states.SUCCESS, 1)
    ends.sweep()
    assert spine.app.broker.stats(["celery"])["celery"].ready == 0
    assert list(spine.app.groups.overdue(now=spine.clock.now() + 1000, again=0.0, limit=9)) == []


def test_a_body_that_the_broker_never_takes_has_failed(spine, ends, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        error = BrokerError("too large")
        error.is_for_good = True
        raise error

    monkeypatch.setattr(spine.app.broker, "send", refuse)
    ends.sweep()
    body = spine.app.AsyncResult("the-body")
    assert (body.state, type(body.result)) == (states.FAILURE, ChordError)
    assert "could not be sent: too large" in str(body.result)
    assert list(spine.app.groups.overdue(now=spine.clock.now() + 1000, again=0.0, limit=9)) == []


def test_a_chord_whose_time_was_up_while_no_worker_was_there_has_failed(spine):
    for name in ("step", "total"):
        spine.app.task(name=name)(lambda *_: None)
    tasks = spine.app.tasks
    result = chord([tasks["step"].s(), tasks["step"].s()], tasks["total"].s()).apply_async()
    spine.clock.advance(spine.app.workflows.chord_time + 3 * 86400)
    sequels_of(spine.app)[1].sweep()
    assert result.state == states.FAILURE
    assert "Only 0 of 2 members" in str(result.result)
