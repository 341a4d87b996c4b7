"""What follows a task and may have been sent twice, by one who died before it could settle, runs once."""

from __future__ import annotations

import logging

import msgspec
import pytest

from celeriac import chord
from celeriac.worker.chords import sequels_of
from celeriac.worker.outcome import Settle
from celeriac.worker.sequel import REPEATED
from celeriac.worker.turned_away import TurningAway


@pytest.fixture
def spine(spine):
    """One on a store that sends and acknowledges in two steps."""
    broker = spine.app.broker
    broker.capabilities = msgspec.structs.replace(broker.capabilities, atomic_follow_ups=False)
    return spine


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
        task.apply_async((number,), task_id="x", headers={REPEATED: spine.clock.now() - 1.0})
    with caplog.at_level(logging.INFO):
        work()
    assert ran == [0]
    assert spine.app.AsyncResult("x").state == "SUCCESS"
    assert "Task work[x] has ended already" in caplog.text
    stats = spine.app.broker.stats(["celery"])["celery"]
    assert (stats.ready, stats.leased, stats.dead) == (0, 0, 0)


@pytest.mark.parametrize(("mark", "delay"), [(2.0, 2.0), (1e9, 5.0), (-1.0, None), ("odd", None)])
def test_it_waits_for_the_first_to_end_but_not_for_long(spine, turning_away, mark, delay):
    task = spine.app.task(name="work")(abs)
    until = mark if isinstance(mark, str) else spine.clock.now() + mark
    task.apply_async((1,), task_id="x", headers={REPEATED: until})
    end = turning_away.of_second(spine.job())
    assert (end and (end.settle, end.delay)) == (delay and (Settle.REQUEUE, pytest.approx(delay)))


def test_a_store_that_does_both_in_one_step_has_no_second_messages(spine, turning_away):
    broker = spine.app.broker
    broker.capabilities = msgspec.structs.replace(broker.capabilities, atomic_follow_ups=True)
    work, after = spine.app.task(name="work")(lambda: 7), spine.app.task(name="after")(abs)
    (work.s() | after.s()).apply_async()
    (sent,) = ended_and_back(spine, turning_away, 7).follow_ups
    assert REPEATED not in sent.message.headers


@pytest.mark.parametrize(("state", "runs"), [("SUCCESS", 0), ("FAILURE", 1)])
def test_what_comes_again_and_has_ended_well_does_not_run_again(spine, work, caplog, state, runs):
    ran: list[int] = []
    spine.app.task(name="work")(ran.append).apply_async((1,), task_id="x")
    delivery = spine.delivery()
    spine.app.writer.write_state("x", state, 5 if state == "SUCCESS" else ValueError("no"))
    spine.app.broker.requeue([delivery.lease], redelivered=True)
    with caplog.at_level(logging.INFO):
        work()
    assert len(ran) == runs
    assert ("Task work[x] has ended well already" in caplog.text) == (not runs)
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
    assert [each.message.headers[REPEATED] > spine.clock.now() for each in completion.follow_ups] == [True]


@pytest.mark.parametrize("again", [True, False])
def test_so_is_the_retry_of_one_that_comes_again(spine, work, again):
    @spine.app.task(name="work", bind=True)
    def task(self):
        raise self.retry(countdown=0)

    task.apply_async(task_id="x")
    spine.app.broker.requeue([spine.delivery().lease], redelivered=again)
    work()
    sent = spine.delivery().message.headers
    assert (sent["retries"], REPEATED in sent) == (1, again)


def test_so_is_the_body_of_the_chord_whose_last_member_comes_again(spine, turning_away):
    work, body = spine.app.task(name="work")(lambda: 7), spine.app.task(name="body")(list)
    chord([work.s()], body.s()).apply_async()
    sent = []

    def settle(completions):
        sent.extend(completions[0].follow_ups)
        return set()

    sequels_of(spine.app)[1].carry_out([ended_and_back(spine, turning_away, 7)], settle)
    assert [(each.message.headers["task"], REPEATED in each.message.headers) for each in sent] == [("body", True)]


def test_what_acknowledges_early_and_comes_again_after_its_end_is_settled(spine, turning_away):
    work, after = spine.app.task(name="work", acks_late=False)(lambda: 7), spine.app.task(name="after")(abs)
    (work.s() | after.s()).apply_async()
    assert ended_and_back(spine, turning_away, 7).lease is not None
