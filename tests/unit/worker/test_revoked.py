"""What a process knows of what is revoked, and what becomes of that in the worker's parts."""

from __future__ import annotations

import time

import pytest

from celeriac import signals
from celeriac.exceptions import BackendError, CoordinatorError, TaskRevokedError
from celeriac.interfaces.revocations import Revocation
from celeriac.wire.control import Request
from celeriac.wire.tasks import TaskCall
from celeriac.worker.admission import Admission, Expired
from celeriac.worker.board import Board
from celeriac.worker.chords import sequels_of
from celeriac.worker.commands import Commands
from celeriac.worker.consumer import Consumer
from celeriac.worker.holdings import Holdings
from celeriac.worker.limits import ThreadLimits
from celeriac.worker.outcome import Settle
from celeriac.worker.revoked import Revoked
from celeriac.worker.terminations import Terminations
from celeriac.worker.turned_away import TurningAway


def call(task_id: str = "x", **stamps) -> TaskCall:
    return TaskCall(name="work", id=task_id, stamps=stamps or None, stamped_headers=list(stamps) or None)


def of(task_id: str = "x", *, signal: str = "", ttl: float = 60.0) -> Revocation:
    return Revocation(task_id, signal=signal, ttl=ttl)


class Store:
    """A store that has what a test gave it."""

    def __init__(self, *revocations: Revocation) -> None:
        self.kept = list(revocations)
        self.heard = 0
        self.is_away = False

    def add(self, revocations) -> None:
        self.kept += revocations

    def since(self, number):
        if self.is_away:
            raise CoordinatorError("away")
        return len(self.kept), self.kept[number:]


# -- what is known ----------------------------------------------------------------------------------------------------


def test_what_is_revoked_is_found_by_its_id():
    revoked = Revoked(None)
    assert revoked.is_empty
    revoked.add([of("x")])
    assert not revoked.is_empty
    assert revoked.of(call("x")).task_id == "x"
    assert revoked.of(call("y")) is None


@pytest.mark.parametrize("stamps", [{"order": "4711"}, {"order": 4711}, {"other": "1", "order": ["1", "4711"]}])
def test_what_is_revoked_is_found_by_its_stamp(stamps):
    revoked = Revoked(None)
    revoked.add([Revocation(header="order", stamp="4711", ttl=60.0)])
    assert revoked.of(call(**stamps)) is not None


@pytest.mark.parametrize("stamps", [{}, {"order": "4712"}, {"other": "4711"}, {"order": []}, {"order": None}])
def test_another_stamp_is_not_meant(stamps):
    revoked = Revoked(None)
    revoked.add([Revocation(header="order", stamp="4711", ttl=60.0)])
    assert revoked.of(call(**stamps)) is None


def test_what_has_ended_is_not_found():
    revoked = Revoked(None)
    revoked.add([of("x", ttl=-1.0)])
    assert revoked.of(call("x")) is None
    assert revoked.all() == []


def test_only_a_signal_ends_what_runs_and_it_stays_said():
    revoked = Revoked(None)
    revoked.add([of("x")])
    assert revoked.ends(call("x")) is None
    revoked.add([of("x", signal="SIGTERM"), of("x")])
    assert revoked.ends(call("x")).signal == "SIGTERM"
    assert [one.signal for one in revoked.all()] == ["SIGTERM"]


def test_it_is_behind_until_it_has_caught_up():
    store = Store(of("a"), of("b"))
    revoked = Revoked(store)
    revoked.begin()
    assert [one.task_id for one in revoked.all()] == ["a", "b"]
    assert not revoked.is_behind
    store.add([of("c")])
    store.heard = 3
    assert revoked.is_behind
    assert [one.task_id for one in revoked.catch_up()] == ["c"]
    assert not revoked.is_behind


def test_it_is_not_behind_for_ever_where_all_has_ended():
    store = Store()
    store.heard = 7
    revoked = Revoked(store)
    revoked.catch_up()
    assert not revoked.is_behind


def test_a_store_that_is_away_is_no_reason_not_to_begin(caplog):
    store = Store(of("a"))
    store.is_away = True
    revoked = Revoked(store)
    revoked.begin()
    assert "not known yet" in caplog.text


# -- taking messages --------------------------------------------------------------------------------------------------


def consumer(spine, revoked: Revoked) -> Consumer:
    return Consumer(
        spine.app.broker,
        Holdings(),
        queues=["celery"],
        lease=30.0,
        owner="node/1",
        clock=spine.clock,
        revoked=revoked,
    )


def test_a_claim_is_looked_at_only_when_what_was_revoked_before_is_known(spine):
    store = Store(of("a"))
    revoked = Revoked(store)
    spine.app.send_task("work")
    store.heard = 1
    assert len(consumer(spine, revoked).take(limit=1, wait=0)) == 1
    assert not revoked.is_empty


def test_a_claim_is_given_back_when_that_cannot_be_read(spine, caplog):
    store = Store(of("a"))
    store.heard, store.is_away = 1, True
    spine.app.send_task("work")
    assert consumer(spine, Revoked(store)).take(limit=1, wait=0) == ()
    assert "are given back" in caplog.text
    stats = spine.app.broker.stats(["celery"])["celery"]
    assert (stats.delayed, stats.leased) == (1, 0)


# -- what becomes of it -----------------------------------------------------------------------------------------------


@pytest.fixture
def heard():
    told = []

    def hear(sender=None, request=None, terminated=None, signum=None, expired=None, **_):
        told.append((sender, request.id, terminated, signum, expired))

    signals.task_revoked.connect(hear, weak=False)
    yield told
    signals.task_revoked.disconnect(hear)


def test_what_is_revoked_is_not_admitted(spine, heard):
    spine.app.task(name="work")(lambda: 1)
    spine.app.send_task("work", task_id="x")
    spine.revoked.add([of("x", signal="SIGTERM")])
    discarded = spine.admit(spine.delivery())
    assert isinstance(discarded, Expired)
    assert (discarded.result.state, repr(discarded.result.result)) == ("REVOKED", "TaskRevokedError('revoked')")
    assert heard == [("work", "x", False, None, False)]


def test_what_its_holder_was_killed_for_is_said_to_be_terminated(spine, heard):
    spine.app.task(name="work")(lambda: 1)
    spine.app.send_task("work", task_id="x")
    spine.app.broker.requeue([spine.delivery().lease], redelivered=True)
    spine.revoked.add([of("x", signal="SIGKILL")])
    discarded = spine.admit(spine.delivery())
    assert repr(discarded.result.result) == "TaskRevokedError('terminated')"
    assert heard == [("work", "x", True, 9, False)]


def test_what_ended_before_its_holder_died_is_not_revoked_after_the_fact(spine):
    """Its success is stored, and its callback was not sent: that is made up for."""
    work, after = spine.app.task(name="work")(lambda: 7), spine.app.task(name="after")(lambda value: value)
    work.apply_async(task_id="x", link=after.s())
    delivery = spine.delivery()
    spine.app.writer.write_state("x", "SUCCESS", 7)
    spine.app.broker.requeue([delivery.lease], redelivered=True)
    spine.revoked.add([of("x")])
    turning_away = TurningAway(spine.app.reader, spine.app.writer, sequels_of(spine.app)[0])
    completion = turning_away.completion(spine.admit(spine.delivery()))
    assert completion.record is None
    assert len(completion.follow_ups) == 1
    assert completion.settle is Settle.ACK


def test_where_that_cannot_be_read_the_message_waits(spine, caplog):
    class Away:
        def ends(self, ids):
            raise BackendError("away")

    work, after = spine.app.task(name="work")(lambda: 7), spine.app.task(name="after")(lambda value: value)
    work.apply_async(task_id="x", link=after.s())
    spine.app.broker.requeue([spine.delivery().lease], redelivered=True)
    spine.revoked.add([of("x")])
    completion = TurningAway(Away(), spine.app.writer, sequels_of(spine.app)[0]).completion(
        spine.admit(spine.delivery())
    )
    assert (completion.settle, completion.delay > 0) == (Settle.REQUEUE, True)


def test_a_job_that_was_acknowledged_is_refused_without_its_message(spine):
    spine.app.task(name="work", acks_late=False)(lambda: 1)
    spine.app.send_task("work", task_id="x")
    job = spine.job()
    admission = Admission({}, spine.app.conf, clock=spine.clock, revoked=spine.revoked)
    turning_away = TurningAway(spine.app.reader, spine.app.writer, sequels_of(spine.app)[0])
    refused = turning_away.refused(admission, job, of("x"))
    assert refused.lease is None
    assert refused.record.state == "REVOKED"


def test_what_goes_wrong_after_it_was_told_to_end_is_revoked(spine, heard):
    @spine.app.task(name="work", bind=True, max_retries=5)
    def work(self):
        spine.revoked.add([of("x", signal="SIGTERM")])  # as the listener does, while it runs
        raise self.retry(countdown=0)

    work.apply_async(task_id="x")
    spine.run()
    result = spine.app.AsyncResult("x")
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=0)
    assert spine.taken() == []
    assert heard == [(work, "x", True, 15, False)]


@pytest.mark.parametrize("throw", [True, False])
def test_what_is_revoked_while_it_runs_is_not_tried_again(spine, heard, throw):
    @spine.app.task(name="work", bind=True, max_retries=5)
    def work(self):
        spine.revoked.add([of("x")])
        raise self.retry(countdown=0, throw=throw)

    work.apply_async(task_id="x")
    completion = spine.run()
    assert completion.follow_ups == []
    assert repr(spine.app.AsyncResult("x").result) == "TaskRevokedError('revoked')"
    assert heard == [(work, "x", False, None, False)]


def test_what_was_revoked_between_admission_and_its_run_is_ended_before_it_begins(spine):
    ran = []
    spine.app.task(name="work")(lambda: ran.append(1))
    spine.app.send_task("work", task_id="x")
    job = spine.job()
    spine.revoked.add([of("x", signal="SIGTERM")])
    completion = job.runner.run(job, ThreadLimits())
    assert completion.record.state == "REVOKED"
    assert ran == []


# -- the supervisor's list --------------------------------------------------------------------------------------------


@pytest.fixture
def boards():
    board = Board(engines=2, rows=2)
    yield [board.of(1), board.of(2)]
    board.close()


def test_what_does_not_end_is_overdue_once_when_its_time_is_up(boards, monkeypatch):
    terminations = Terminations()
    boards[1].begin("tag", 1.0, task_id="x")
    terminations.ask([of("x", signal="SIGTERM"), of("y", signal="SIGTERM"), of("z")])
    assert terminations.overdue(boards) == []
    now = time.monotonic()
    assert now < terminations.next_at <= now + 5.0
    monkeypatch.setattr(time, "monotonic", lambda: now + 6.0)
    ((board, run),) = terminations.overdue(boards)
    assert (board, run.task_id) == (boards[1], "x")
    assert terminations.overdue(boards) == []
    assert terminations.next_at == float("inf")


def test_kill_is_overdue_at_once(boards):
    terminations = Terminations()
    boards[0].begin("tag", 1.0, 9e9, task_id="x", name="work")
    terminations.ask([of("x", signal="SIGKILL")])
    ((_, run),) = terminations.overdue(boards)
    assert run.task_id == "x"


def test_what_has_ended_meanwhile_is_forgotten(boards):
    terminations = Terminations()
    row = boards[0].begin("tag", 1.0)
    terminations.note({"tag": "SIGTERM"})
    boards[0].end(row, b"")
    assert terminations.overdue(boards) == []
    assert terminations.next_at == float("inf")


# -- commands ---------------------------------------------------------------------------------------------------------


class Node:
    """A node's commands, and what they told."""

    def __init__(self) -> None:
        self.store = Store()
        self.told: list[Revocation] = []
        self.commands = Commands(Revoked(self.store), tell=self.told.extend, ttl=100.0)

    def ask(self, method: str, *, destination: list[str] | None = None, **arguments):
        return self.commands.obey(Request(method, arguments, destination))


def test_what_a_stock_client_revokes_is_told_and_kept():
    node = Node()
    assert node.ask("revoke", task_id="x", terminate=False, signal="SIGTERM") == {"ok": "tasks x flagged as revoked"}
    assert node.told == node.store.kept == [of("x", ttl=100.0)]


def test_what_is_for_some_nodes_is_not_kept():
    node = Node()
    node.ask("revoke", task_id=["x", "y"], terminate=True, signal="KILL", destination=["here"])
    assert node.told == [of("x", signal="SIGKILL", ttl=100.0), of("y", signal="SIGKILL", ttl=100.0)]
    assert node.store.kept == []


@pytest.mark.parametrize("headers", [{"order": ["1", "2"], "x": 3}, ["order=1", "order=2", "x=3"]])
def test_stamps_come_as_a_mapping_or_as_words(headers):
    node = Node()
    node.ask("revoke_by_stamped_headers", headers=headers, expires=5)
    said = {(one.header, one.stamp, one.ttl) for one in node.told}
    assert said == {("order", "1", 5.0), ("order", "2", 5.0), ("x", "3", 5.0)}


def test_terminate_is_a_command_of_its_own():
    node = Node()
    assert node.ask("terminate", task_id="x", signal="TERM") == {"ok": "terminate: x"}
    assert node.told == [of("x", signal="SIGTERM", ttl=100.0)]


def test_what_is_not_known_is_not_answered():
    assert Node().ask("ping") is None


@pytest.mark.parametrize("arguments", [{}, {"task_id": 3}, {"task_id": "x", "terminate": True, "signal": "NO"}])
def test_what_cannot_be_obeyed_is_answered_with_the_reason(arguments):
    node = Node()
    assert "error" in node.ask("revoke", **arguments)
    assert node.told == []


def test_what_cannot_be_kept_holds_for_the_node_all_the_same():
    node = Node()

    def fail(_revocations):
        raise CoordinatorError("away")

    node.store.add = fail
    assert "not kept" in node.ask("revoke", task_id="x")["error"]
    assert node.told == [of("x", ttl=100.0)]


def test_what_was_missed_is_told():
    node = Node()
    node.commands.refresh()
    node.store.add([of("x")])
    node.commands.refresh()
    node.commands.refresh()
    assert node.told == [of("x")]
