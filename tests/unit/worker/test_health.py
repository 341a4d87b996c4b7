"""How a node is judged: by what it asked its stores for and was not answered, and by the rounds it did not get done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from celeriac.exceptions import BrokerUnavailable
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import receive, send
from celeriac.testing.faults import BrokerBefore
from celeriac.worker.board import Board
from celeriac.worker.chords import sequels_of
from celeriac.worker.completion import Completer
from celeriac.worker.consumer import Consumer
from celeriac.worker.health import Health, Round
from celeriac.worker.health_file import HealthReport, health_path, is_alive, read_report, remove_report, write_report
from celeriac.worker.holdings import Holdings
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.pulse import Pulse
from celeriac.worker.revoked import Revoked

LIMIT, LEASE, EXIT_AFTER = 30.0, 60.0, 300.0


class Node:
    """A node of two engines, whose moments the test scripts."""

    def __init__(self, path: Path, *, exit_after: float | None = EXIT_AFTER) -> None:
        self.path = path
        self.clock = FakeClock()
        self.clock.advance(1000.0)
        self.pulses = [Pulse(clock=self.clock), Pulse(clock=self.clock)]
        self.upkeep = self.leases = 0.0
        self.is_stopping = False
        self.given_up = 0
        self.health = Health(
            path,
            "celery@here",
            limit=LIMIT,
            lease=LEASE,
            exit_after=exit_after,
            give_up=self._give_up,
            is_stopping=lambda: self.is_stopping,
            clock=self.clock,
        )

    def _give_up(self) -> None:
        self.given_up += 1

    def observe(self) -> None:
        rounds = {"upkeep": Round(lambda: self.upkeep, LIMIT), "leases": Round(lambda: self.leases, LEASE)}
        self.health.observe(self.pulses, rounds)

    def live(self, seconds: float, *without: str) -> HealthReport:
        """Let time pass in which all goes well but what is named; return the judgement."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.upkeep = self.upkeep if "upkeep" in without else self.clock.monotonic()
            self.leases = self.leases if "leases" in without else self.clock.monotonic()
            self.health.check()
        return self.health.check()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path / "node.health")
    node.observe()
    return node


def test_a_node_that_has_just_begun_is_healthy_and_says_so_in_its_file(node):
    node.health.check()
    written = read_report(node.path)
    assert (written.pid, written.nodename, written.state, written.reason) == (
        os.getpid(), "celery@here", "healthy", "",
    )  # fmt: skip
    assert written.written == node.clock.now()
    assert set(written.ages) == {"received 1", "stored 1", "received 2", "stored 2", "upkeep", "leases"}


def test_an_engine_that_gets_no_answer_makes_the_node_failing_until_it_gets_one(node):
    node.pulses[1].asking()
    assert node.live(LIMIT).state == "healthy"
    report = node.live(1)
    assert (report.state, report.reason) == ("failing", "engine 2 has received no answer for 31 s")
    node.pulses[1].received()
    assert node.live(0).state == "healthy"


def test_asking_again_and_again_in_vain_counts_from_the_first_time(node):
    for _ in range(4):
        node.pulses[0].asking()
        report = node.live(10)
    assert report.reason == "engine 1 has received no answer for 40 s"


def test_an_engine_that_is_busy_with_a_long_task_is_healthy(node):
    node.pulses[0].asking()
    node.pulses[0].received()
    report = node.live(10 * LIMIT)
    assert report.state == "healthy"
    assert report.ages["received 1"] == 10 * LIMIT


def test_completions_may_wait_as_long_as_a_lease(node):
    node.pulses[0].storing()
    assert node.live(LEASE).state == "healthy"
    assert node.live(1).reason == "engine 1 could store nothing for 61 s"
    node.pulses[0].stored()
    assert node.live(0).state == "healthy"


@pytest.mark.parametrize(("name", "limit"), [("upkeep", LIMIT), ("leases", LEASE)])
def test_a_round_that_does_not_succeed_in_its_time_makes_the_node_failing(node, name, limit):
    assert node.live(limit, name).state == "healthy"
    assert node.live(1, name).reason == f"{name} did not succeed for {limit + 1:.0f} s"
    assert node.live(1).state == "healthy"


def test_every_reason_is_told(node):
    node.pulses[0].asking()
    report = node.live(LEASE + 1, "upkeep", "leases")
    assert report.reason.split("; ") == [
        "engine 1 has received no answer for 61 s",
        "upkeep did not succeed for 61 s",
        "leases did not succeed for 61 s",
    ]


def test_a_node_that_does_not_reach_its_broker_starts_for_a_while_and_then_fails(tmp_path):
    node = Node(tmp_path / "node.health")
    assert node.live(LIMIT).state == "starting"
    assert node.live(1).reason == "the broker has not been reached for 31 s"
    node.observe()
    assert node.live(0).state == "healthy"


def test_nothing_is_expected_of_a_node_that_stops(node):
    node.pulses[0].asking()
    node.is_stopping = True
    assert node.live(2 * EXIT_AFTER, "upkeep").state == "stopping"
    assert node.given_up == 0


def test_a_node_that_failed_for_too_long_is_given_up_once_with_the_reason(node, caplog):
    node.live(LIMIT + EXIT_AFTER, "upkeep")
    assert (node.given_up, node.health.gave_up) == (0, False)
    node.live(10, "upkeep")
    assert (node.given_up, node.health.gave_up) == (1, True)
    (critical,) = [record.message for record in caplog.records if record.levelname == "CRITICAL"]
    assert "failing for 300 s" in critical
    assert "upkeep did not succeed" in critical


def test_a_node_that_recovered_has_all_its_time_again(node):
    node.live(LIMIT + EXIT_AFTER, "upkeep")
    node.live(1)
    node.live(LIMIT + EXIT_AFTER, "upkeep")
    assert node.given_up == 0


def test_a_node_may_try_for_ever(tmp_path):
    node = Node(tmp_path / "node.health", exit_after=None)
    assert node.live(10 * EXIT_AFTER).state == "failing"
    assert node.given_up == 0


def test_a_stopped_node_leaves_no_file(node):
    node.health.start()
    node.health.stop()
    assert list(node.path.parent.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_once_and_does_no_harm(tmp_path, caplog):
    node = Node(tmp_path / "missing" / "node.health")
    assert node.live(3).state == "starting"
    assert caplog.text.count("cannot be written") == 1


# -- the file ----------------------------------------------------------------------------------------------------------


def test_another_process_that_took_the_file_over_keeps_it(tmp_path):
    path = tmp_path / "node.health"
    write_report(path, HealthReport(pid=1, nodename="n@h", state="healthy", written=0.0))
    remove_report(path, pid=2)
    assert path.exists()
    remove_report(path, pid=1)
    assert not path.exists()


@pytest.mark.parametrize(
    ("is_ours", "state", "age", "is_named"),
    [
        (False, "healthy", 4.0, True),
        (False, "stopping", 4.0, False),
        (False, "healthy", 11.0, False),
        (True, "healthy", 4.0, False),
    ],
)
def test_another_node_of_the_same_name_is_told_of(tmp_path, caplog, is_ours, state, age, is_named):  # noqa: PLR0913  a table
    node = Node(tmp_path / "node.health")
    pid = os.getpid() if is_ours else os.getppid()
    write_report(node.path, HealthReport(pid, "celery@here", state, written=node.clock.now() - age))
    node.health.start()
    node.health.stop()
    assert (f"Process {pid} is a node of this name too" in caplog.text) is is_named


def test_a_report_reads_as_it_was_written_and_for_every_user(tmp_path):
    path = tmp_path / "node.health"
    report = HealthReport(pid=1, nodename="n@h", state="failing", written=2.5, reason="why", ages={"upkeep": 3.0})
    write_report(path, report)
    assert read_report(path) == report
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_file_goes_by_the_name_of_its_node(tmp_path):
    assert health_path(f"{tmp_path}/%n-at-%h", "web@box") == tmp_path / "web-at-box"
    assert health_path(None, "web/1@box").name == "celeriac-web_1@box.health"


def test_only_living_processes_are_alive():
    assert is_alive(os.getpid())
    assert is_alive(1)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert not is_alive(pid)


# -- the pulse ---------------------------------------------------------------------------------------------------------


def test_a_supervisor_reads_the_pulse_of_each_engine():
    board = Board(engines=2, rows=3)
    try:
        board.of(2).begin("tag", 1.0)
        board.of(2).pulse.asking()
        assert board.of(2).pulse.asking_since > 0
        assert board.of(1).pulse.asking_since == 0
        assert [run.tag for run in board.of(2).running()] == ["tag"]
    finally:
        board.close()


def test_an_engine_that_takes_anothers_place_inherits_its_unanswered_question():
    clock = FakeClock()
    clock.advance(10)
    pulse = Pulse(clock=clock)
    pulse.restart()
    pulse.storing()
    clock.advance(10)
    pulse.restart()
    assert (pulse.asking_since, pulse.storing_since) == (10.0, 0.0)


class Away(BrokerBefore):
    """A broker that can be away."""

    is_away = False

    def receive(self, queues, terms, *, wait):
        if self.is_away:
            raise BrokerUnavailable("away")
        return self._inner.receive(queues, terms, wait=wait)

    def ack(self, leases, *, follow_ups=None, results=()):
        if self.is_away:
            raise BrokerUnavailable("away")
        return self._inner.ack(leases, follow_ups=follow_ups, results=results)

    def ack_and_receive(self, leases, queues, terms, **done):
        return self.ack(leases, **done), self.receive(queues, terms, wait=0.0)


def test_a_consumer_tells_what_it_asks_and_when_it_is_answered(spine):
    spine.clock.advance(5)
    broker, pulse = Away(spine.app.broker), Pulse(clock=spine.clock)
    consumer = Consumer(
        broker,
        Holdings(),
        queues=["celery"],
        lease=30.0,
        owner="node/1",
        clock=spine.clock,
        revoked=Revoked(None),
        pulse=pulse,
    )
    broker.is_away = True
    consumer.wake()  # so that it does not rest
    consumer.take(limit=1, wait=0)
    assert (pulse.asking_since, pulse.received_at) == (5.0, 0.0)
    broker.is_away = False
    spine.clock.advance(1)
    consumer.take(limit=1, wait=0)
    assert (pulse.asking_since, pulse.received_at) == (0.0, 6.0)


def completer(spine, broker: Away, pulse: Pulse) -> Completer:
    send(broker, 1)
    (delivery,) = receive(broker)
    completer = Completer(
        broker, spine.app.writer, Holdings(), clock=spine.clock, pulse=pulse, chords=sequels_of(spine.app)[1]
    )
    completer.add(Completion(delivery.lease, Settle.ACK))
    return completer


def test_completions_that_could_not_be_stored_are_told_until_they_are(spine):
    spine.clock.advance(5)
    broker, pulse = Away(spine.app.broker), Pulse(clock=spine.clock)
    completing = completer(spine, broker, pulse)
    broker.is_away = True
    for _ in range(3):
        assert not completing.flush()
        spine.clock.advance(10)
    assert (pulse.storing_since, pulse.stored_at) == (5.0, 0.0)
    broker.is_away = False
    assert completing.flush()
    assert (pulse.storing_since, pulse.stored_at) == (0.0, 35.0)


def test_completions_whose_leases_were_lost_need_not_be_stored_any_more(spine):
    spine.clock.advance(5)
    broker, pulse = Away(spine.app.broker), Pulse(clock=spine.clock)
    send(broker, 1)
    (delivery,) = receive(broker)
    completing = Completer(
        broker, spine.app.writer, Holdings(), clock=spine.clock, pulse=pulse, chords=sequels_of(spine.app)[1]
    )
    completing.add(Completion(delivery.lease, Settle.ACK))
    broker.is_away = True
    assert not completing.flush()
    completing.drop([delivery.lease.tag])
    assert pulse.storing_since == 0.0
