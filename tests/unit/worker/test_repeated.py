"""What follows a task and may have been sent twice, by one who died before it could settle, runs once."""

from __future__ import annotations

import logging

import pytest

from celeriac import chord
from celeriac.worker.chords import sequels_of
from celeriac.worker.outcome import REPEATED, Settle
from celeriac.worker.turned_away import TurningAway


@pytest.fixture
def turning_away(spine):
    return TurningAway(spine.app.reader, spine.app.writer, sequels_of(spine.app)[0])


def ended_and_back(spine, turning_away, value):
    """Take the one message; its result is stored, its holder dies; return the completion of who has it then."""
    delivery = spine.delivery()
    spine.app.writer.write_state(delivery.message.headers["id"], "SUCCESS", value)
    spine.app.broker.requeue([delivery.lease], redelivered=True)
    return turning_away.ended_before(spine.job())


def test_a_second_message_of_what_has_ended_is_dropped(spine, work, caplog):
    ran: list[int] = []
    task = spine.app.task(name="work")(ran.append)
    for number in range(2):
        task.apply_async((number,), task_id="x", headers={REPEATED: True})
    with caplog.at_level(logging.INFO):
        work()
    assert ran == [0]
    assert spine.app.AsyncResult("x").state == "SUCCESS"
    assert "Task work[x] has ended already" in caplog.text
    stats = spine.app.broker.stats(["celery"])["celery"]
    assert (stats.ready, stats.leased, stats.dead) == (0, 0, 0)


def test_without_the_mark_nobody_looks(spine, work):
    ran: list[int] = []
    task = spine.app.task(name="work")(ran.append)
    for number in range(2):
        task.apply_async((number,), task_id="x")
    work()
    assert ran == [0, 1]


def test_what_follows_one_that_comes_again_is_marked(spine, turning_away):
    work, after = spine.app.task(name="work")(lambda: 7), spine.app.task(name="after")(lambda value: value)
    (work.s() | after.s()).apply_async()
    completion = ended_and_back(spine, turning_away, 7)
    assert completion.settle is Settle.ACK
    assert [each.message.headers[REPEATED] for each in completion.follow_ups] == [True]


def test_so_is_the_body_of_the_chord_whose_last_member_comes_again(spine, turning_away):
    work, body = spine.app.task(name="work")(lambda: 7), spine.app.task(name="body")(list)
    chord([work.s()], body.s()).apply_async()
    sent = []

    def settle(completions):
        sent.extend(completions[0].follow_ups)
        return set()

    sequels_of(spine.app)[1].carry_out([ended_and_back(spine, turning_away, 7)], settle)
    assert [(each.message.headers["task"], each.message.headers[REPEATED]) for each in sent] == [("body", True)]


def test_what_acknowledges_early_and_comes_again_after_its_end_is_settled(spine, turning_away):
    work, after = spine.app.task(name="work", acks_late=False)(lambda: 7), spine.app.task(name="after")(abs)
    (work.s() | after.s()).apply_async()
    assert ended_and_back(spine, turning_away, 7).lease is not None
