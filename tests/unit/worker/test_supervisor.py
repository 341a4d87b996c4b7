"""The supervisor, with engines that are the other ends of its pipes and no processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from celeriac.exceptions import TimeLimitExceeded
from celeriac.interfaces.broker import Terms
from celeriac.testing.conformance.samples import eventually, receive, send
from celeriac.wire.results import TaskResult
from celeriac.worker.board import FOLLOWED, Board
from celeriac.worker.notes import Finished, Lost, Ready, Stop, read_supervisor_note
from celeriac.worker.supervisor import Supervisor
from tests.unit.worker.supervising import DEADLINE, Pipes, owner_of, recovery


def test_every_engine_is_started_and_the_node_is_ready_when_all_are(node):
    running = node(3)
    assert running.pipes.launched == [1, 2, 3]
    for index in (1, 2):
        running.pipes.say(index, Ready())
    assert not running.ready.acquire(timeout=0.01)
    running.pipes.say(3, Ready())
    assert running.ready.acquire(timeout=DEADLINE)


def test_what_the_engines_hold_is_known(node, leases):
    running = node(2)
    running.ledger(1).held(leases[:2])
    running.ledger(2).held(leases[2:])
    eventually(lambda: running.held() == leases)
    running.ledger(1).settled([leases[0].tag])
    eventually(lambda: running.held() == leases[1:])


def test_a_lost_lease_is_told_to_the_engine_that_held_it(node, leases):
    running = node(2)
    running.ledger(1).held(leases[:2])
    running.ledger(2).held(leases[2:])
    eventually(lambda: len(running.held()) == 4)
    running.supervisor.lost([leases[2]])
    assert running.pipes.hear(2) == Lost([leases[2].tag])
    assert not running.pipes.ends[1].poll(0.01)
    assert len(running.held()) == 3


def test_an_engine_that_ends_by_itself_is_started_again_at_once_and_told_of(node, leases, caplog):
    running = node(2)
    running.ledger(1).held(leases)
    running.pipes.say(1, Finished("ValueError: mine"))
    eventually(running.held)
    running.pipes.end(1, status=-9)
    eventually(lambda: running.pipes.launched == [1, 2, 1])
    assert "Engine 1 ended by itself" in caplog.text
    assert "(signal 9: ValueError: mine); 4 tasks that it held are given back" in caplog.text
    assert running.held() == []


def test_what_a_dead_engine_held_is_ready_at_once_and_only_what_it_ran_is_marked(node, spine, leases):
    running = node(1)
    running.ledger(1).held(leases)
    running.board.of(1).begin(leases[2].tag, 1.0)
    eventually(running.held)
    running.pipes.end(1, status=-11)
    eventually(lambda: running.pipes.launched == [1, 1])
    again = receive(spine.app.broker)
    assert [delivery.redelivered for delivery in again] == [False, False, True, False]
    assert running.board.of(1).running() == []


@pytest.mark.parametrize("is_stopping", [False, True])
def test_what_an_engine_claimed_in_the_moment_of_its_death_is_ready_at_once(node, spine, leases, is_stopping):
    running = node(1)
    send(spine.app.broker, *range(2))
    terms = Terms(limit=2, lease=60.0, owner=owner_of(1))
    unheard = spine.app.broker.receive(["work"], terms, wait=0)
    assert len(unheard) == 2
    if is_stopping:
        running.supervisor.stop()
        running.pipes.hear(1)
    running.pipes.end(1, status=-9)
    again = eventually(lambda: receive(spine.app.broker))
    assert [delivery.redelivered for delivery in again] == [False, False]


def test_what_a_dead_engine_had_ended_is_completed_and_not_run_again(node, spine, leases):
    running = node(1)
    running.ledger(1).held(leases)
    board = running.board.of(1)
    record = spine.app.writer.record(TaskResult(task_id="ended", state="SUCCESS", result=42))
    board.end(board.begin(leases[0].tag, 1.0), b"")
    board.end(board.begin(leases[1].tag, 2.0, 9.0, task_id="ended", name="name"), msgspec.msgpack.encode(record))
    board.end(board.begin(leases[2].tag, 3.0), None)
    running.pipes.end(1, status=-9)
    eventually(lambda: running.pipes.launched == [1, 1])
    again = receive(spine.app.broker)
    assert [delivery.lease.queue for delivery in again] == ["work", "work"]
    told = [delivery.redelivered for delivery in again]
    assert sorted(told) == [False, True], "what ended with more than stands on the board may be what its engine died of"
    assert spine.app.AsyncResult("ended").get(timeout=DEADLINE) == 42
    assert board.ended() == {}


def test_what_had_ended_when_an_engine_was_stopped_by_force_is_not_given_back(node, spine, leases):
    running = node(1)
    running.ledger(1).held(leases)
    board = running.board.of(1)
    board.end(board.begin(leases[3].tag, 1.0), b"")
    running.supervisor.stop()
    running.pipes.hear(1)
    running.pipes.end(1)
    assert running.code.result(DEADLINE) == 0
    assert len(receive(spine.app.broker)) == 3


def begin_overdue(running, leases, name):
    """Let the engine hold these and run the second, whose time is up, as its supervisor knows."""
    running.pipes.processes[1] = 2**22 + 1  # no process has this number
    running.ledger(1).held(leases)
    eventually(running.held)
    run = running.board.of(1)
    run.begin(leases[1].tag, 1.0, 3.5, task_id="late", name=name)
    running.supervisor._engines[0].overdue.extend(run.running())


@pytest.mark.parametrize(("name", "dead"), [("lenient", 0), ("strict", 1)])
@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_task_that_was_ended_for_its_time_limit_has_failed(node, spine, leases, name, dead, is_stopping):  # noqa: PLR0913  fixtures
    running = node(1)
    begin_overdue(running, leases, name)
    if is_stopping:
        running.supervisor.stop()
        running.pipes.hear(1)
    running.pipes.end(1, status=-9)
    eventually(lambda: running.code.done() if is_stopping else running.pipes.launched == [1, 1])
    with pytest.raises(TimeLimitExceeded, match=r"its time limit of 2\.5 s"):
        spine.app.AsyncResult("late").get(timeout=DEADLINE)
    assert [delivery.redelivered for delivery in receive(spine.app.broker)] == [False, False, False]
    assert sum(stats.dead for stats in spine.app.broker.stats(spine.app.broker.queues()).values()) == dead


@pytest.mark.parametrize(
    ("name", "marked"), [("function", 0), ("coroutine", 1), ("function" + FOLLOWED, 1), ("coroutine" + FOLLOWED, 2)]
)
def test_what_ran_beside_a_function_whose_time_was_up_is_not_to_blame(node, spine, leases, name, marked):
    """Beside a coroutine it may be: it may have kept the event loop. What is followed comes again itself, marked."""
    running = node(1)
    begin_overdue(running, leases, name)
    running.board.of(1).begin(leases[2].tag, 1.0, task_id="beside")
    running.pipes.end(1, status=-9)
    eventually(lambda: running.pipes.launched == [1, 1])
    again = receive(spine.app.broker)
    assert len(again) == (4 if name.endswith(FOLLOWED) else 3)
    assert sum(delivery.redelivered for delivery in again) == marked


def test_an_engine_that_is_worn_is_replaced_without_a_word_of_error(node, caplog):
    running = node(1)
    running.pipes.say(1, Ready())
    running.pipes.say(1, Finished(worn="it ran 2 tasks"))
    running.pipes.end(1, status=0)
    eventually(lambda: running.pipes.launched == [1, 1])
    assert "ended by itself" not in caplog.text


def test_the_node_is_ready_once_however_often_engines_are_replaced(node):
    running = node(1)
    running.pipes.say(1, Ready())
    assert running.ready.acquire(timeout=DEADLINE)
    running.pipes.end(1, status=1)
    eventually(lambda: len(running.pipes.launched) == 2)
    running.pipes.say(1, Ready())
    assert not running.ready.acquire(timeout=0.02)


def test_a_stop_is_told_to_all_and_the_node_ends_when_they_have(node):
    running = node(2)
    running.supervisor.stop()
    assert [running.pipes.hear(index) for index in (1, 2)] == [Stop(), Stop()]
    running.pipes.end(1)
    assert not running.code.done()
    running.pipes.end(2)
    assert running.code.result(DEADLINE) == 0


def test_a_second_stop_may_be_sharper(node):
    running = node(1)
    running.supervisor.stop()
    assert running.pipes.hear(1) == Stop()
    running.supervisor.stop(now=True)
    assert running.pipes.hear(1) == Stop(now=True)


def test_what_an_engine_still_held_when_the_node_stopped_is_given_back(node, spine, leases):
    running = node(1)
    running.ledger(1).held(leases)
    running.supervisor.stop()
    running.pipes.hear(1)
    running.pipes.end(1)
    assert running.code.result(DEADLINE) == 0
    assert len(receive(spine.app.broker)) == 4


def test_notes_that_a_dead_engine_left_in_its_pipe_are_read(node, spine, leases):
    running = node(1)
    running.supervisor.stop()
    running.pipes.hear(1)
    running.ledger(1).held(leases)
    running.ledger(1).settled([lease.tag for lease in leases[1:]])
    running.pipes.end(1)
    assert running.code.result(DEADLINE) == 0
    assert [delivery.lease.queue for delivery in receive(spine.app.broker)] == ["work"]


def test_a_node_that_can_start_no_engine_any_more_tells_the_others_to_stop_and_ends_as_failed(node, caplog):
    running = node(1)
    running.pipes.vanish()
    assert running.pipes.hear(1) == Stop()
    assert not running.code.done()  # what the engine holds is still renewed
    running.pipes.ends[1].close()
    assert running.code.result(DEADLINE) == 1
    assert "The node stops: the process that forks engines is gone" in caplog.text


def test_stop_may_come_from_any_thread_before_the_node_runs(spine):
    pipes = Pipes()
    board = Board(engines=1, rows=1)
    supervisor = Supervisor(pipes, recovery(spine.app), boards=[board.of(1)], grace=None, on_ready=lambda: None)
    supervisor.stop()
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(supervisor.run)
        eventually(lambda: pipes.launched)
        assert pipes.hear(1) == Stop()
        pipes.end(1)
        assert code.result(DEADLINE) == 0
    pipes.close()
    board.close()


def test_what_is_no_note_is_an_error_of_ours_and_not_taken_for_one():
    with pytest.raises(msgspec.ValidationError):
        read_supervisor_note(msgspec.msgpack.encode({"type": "unheard of"}))
