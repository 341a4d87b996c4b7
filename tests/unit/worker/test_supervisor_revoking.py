"""What a supervisor does about revoked tasks."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.exceptions import TaskRevokedError
from celeriac.interfaces.revocations import Revocation
from celeriac.testing.conformance.samples import eventually, receive
from celeriac.worker import supervisor as supervising
from celeriac.worker.board import Board
from celeriac.worker.notes import Ending, Stop
from celeriac.worker.supervisor import Supervisor
from tests.unit.worker.supervising import DEADLINE, Pipes, recovery


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process in an engine's place, to be killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def revocation(task_id: str, name: str = "") -> Revocation:
    return Revocation(task_id, signal=name, ttl=60.0)


def test_what_is_revoked_is_told_to_every_engine_in_parts(node):
    running = node(2)
    many = [revocation(str(number)) for number in range(120)]
    running.supervisor.revoke(many)
    for index in (1, 2):
        parts = [running.pipes.hear(index).revocations for _ in range(3)]
        assert [len(part) for part in parts] == [50, 50, 20]
        assert [one for part in parts for one in part] == many


def test_who_revokes_goes_on_when_the_engines_know(node, monkeypatch):
    monkeypatch.setattr(supervising, "_HEARD", 60.0)
    running = node(2)
    with ThreadPoolExecutor(1) as threads:
        revoking = threads.submit(running.supervisor.revoke, [revocation("x")])
        for index in (1, 2):
            assert not revoking.done()
            running.pipes.hear(index)
            running.pipes.say(index, Ending({}))
        revoking.result(DEADLINE)


def test_an_engine_that_does_not_read_holds_nobody_up(node):
    running = node(2)
    many = [revocation(f"{number:0200}") for number in range(5000)]
    running.supervisor.revoke(many)
    heard = 0
    while heard < len(many):
        heard += len(running.pipes.hear(2).revocations)
    running.supervisor.stop()
    assert running.pipes.hear(2) == Stop()


def test_an_engine_is_killed_for_a_revoked_task_and_what_it_ran_goes_back(node, spine, leases, sleeper, caplog):
    running = node(1)
    running.pipes.processes[1] = sleeper.pid
    running.ledger(1).held(leases[:2])
    running.board.of(1).begin(leases[0].tag, 1.0, task_id="x")
    running.supervisor.revoke([revocation("x", "SIGKILL")])
    assert sleeper.wait(DEADLINE) == -signal.SIGKILL
    running.pipes.end(1, status=-9)
    eventually(lambda: running.pipes.launched == [1, 1])
    assert "Task x is revoked and has not ended" in caplog.text
    assert "ended by itself" not in caplog.text
    again = receive(spine.app.broker)
    assert [delivery.redelivered for delivery in again] == [True, False]


def test_what_an_engine_says_of_stamps_is_known_by_its_tag(node, leases, sleeper):
    running = node(1)
    running.pipes.processes[1] = sleeper.pid
    running.ledger(1).held(leases[:1])
    running.board.of(1).begin(leases[0].tag, 1.0, task_id="x")
    running.pipes.say(1, Ending({leases[0].tag: "SIGKILL"}))
    assert sleeper.wait(DEADLINE) == -signal.SIGKILL


def test_what_was_acknowledged_before_it_was_killed_is_stored_as_revoked(node, spine, sleeper):
    running = node(1)
    running.pipes.processes[1] = sleeper.pid
    running.board.of(1).begin("settled already", 1.0, task_id="x")
    running.supervisor.revoke([revocation("x", "SIGKILL")])
    assert sleeper.wait(DEADLINE) == -signal.SIGKILL
    running.pipes.end(1, status=-9)
    eventually(lambda: running.pipes.launched == [1, 1])
    with pytest.raises(TaskRevokedError, match="terminated"):
        spine.app.AsyncResult("x").get(timeout=DEADLINE)


def test_an_engine_that_starts_later_is_told_what_no_store_keeps(spine):
    pipes, board = Pipes(), Board(engines=1, rows=2)
    known = [revocation("x")]
    supervisor = Supervisor(
        pipes,
        recovery(spine.app),
        boards=[board.of(1)],
        grace=None,
        on_ready=lambda: None,
        revoked=lambda: known,
    )
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(supervisor.run)
        eventually(lambda: pipes.launched == [1])
        assert pipes.hear(1).revocations == known
        supervisor.stop()
        pipes.end(1)
        assert code.result(DEADLINE) == 0
    pipes.close()
    board.close()
