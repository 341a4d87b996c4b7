"""One engine on a memory store: it stops when its last task says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celeriac.exceptions import BrokerUnavailable
from celeriac.interfaces.store import Store
from celeriac.testing.faults import BrokerBefore
from celeriac.worker.holdings import Holdings
from tests.unit.spine import Spine

DEADLINE = 10.0

Work = Callable[[], Holdings]


def test_it_runs_what_is_there_in_order_and_leaves_nothing_behind(spine, work):
    ran: list[int] = []
    task = spine.app.task(name="work")(ran.append)
    results = task.delay_many((n,) for n in range(20))
    holdings = work()
    assert ran == list(range(20))
    assert {result.state for result in results} == {"SUCCESS"}
    assert len(holdings) == 0
    stats = spine.app.broker.stats(["celery"])["celery"]
    assert (stats.ready, stats.leased, stats.dead) == (0, 0, 0)


def test_synchronous_tasks_and_coroutines_run_side_by_side(spine, work):
    @spine.app.task(name="coroutine")
    async def coroutine(x: int) -> int:
        return x * 2

    plain = spine.app.task(name="plain")(lambda x: x + 1)
    results = [coroutine.delay(5), plain.delay(5)]
    work()
    assert [result.get(timeout=10) for result in results] == [10, 6]


def test_what_cannot_run_is_settled_too(spine, work):
    unknown = spine.app.send_task("unheard.of")
    late = spine.app.send_task("last", expires=-1)
    work()
    assert (unknown.state, late.state) == ("FAILURE", "REVOKED")
    assert spine.app.broker.stats(["celery"])["celery"].dead == 1


def test_a_task_s_own_state_is_never_hidden_by_that_it_has_started(spine, work):
    seen: list[str] = []

    @spine.app.task(name="work", bind=True, track_started=True)
    def task(self: Any) -> None:
        seen.append(spine.app.AsyncResult(self.request.id).state)
        self.update_state(state="HALF")
        seen.append(spine.app.AsyncResult(self.request.id).state)

    result = task.delay()
    work()
    assert seen == ["STARTED", "HALF"]
    assert result.state == "SUCCESS"


# -- acknowledged before the run ---------------------------------------------------------------------------------------


class Journal(BrokerBefore):
    """A broker that notes acknowledgements; the first so many fail, or are done and their answer is lost."""

    def __init__(self, inner: Any, *, fails: int = 0, answers_lost: int = 0) -> None:
        super().__init__(inner)
        self.fails = fails
        self.answers_lost = answers_lost
        self.acked = 0

    def ack(self, leases, *, follow_ups=None, results=()):
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable("away")
        self.acked += len(leases)
        lost = self._inner.ack(leases, follow_ups=follow_ups, results=results)
        if self.answers_lost:
            self.answers_lost -= 1
            raise BrokerUnavailable("the answer was lost")
        return lost

    def ack_and_receive(self, leases, queues, terms, **done):
        return self.ack(leases, **done), self.receive(queues, terms, wait=0.0)


def put_before(spine: Spine, broker: Journal) -> None:
    """Let the application use this broker in place of the one that it opened."""
    spine.app.stores._broker_store = Store(broker=broker, results=spine.app.results)


def test_a_task_may_be_acknowledged_before_it_runs(spine, work):
    journal = Journal(spine.app.broker)
    put_before(spine, journal)
    seen: list[int] = []
    spine.app.task(name="work", acks_late=False)(lambda: seen.append(journal.acked)).delay()
    work()
    assert seen == [1]
    assert journal.acked == 2


def test_an_early_acknowledgement_that_fails_is_tried_until_it_is_known_and_the_task_runs_once(spine, work, caplog):
    journal = Journal(spine.app.broker, fails=1)
    put_before(spine, journal)
    ran: list[int] = []
    spine.app.task(name="work", acks_late=False)(lambda: ran.append(1)).delay()
    holdings = work()
    assert ran == [1]
    assert "whether it is acknowledged is not known: away" in caplog.text
    assert len(holdings) == 0


def test_a_task_whose_early_acknowledgement_was_done_although_its_answer_was_lost_runs_once(spine, work):
    put_before(spine, Journal(spine.app.broker, answers_lost=2))
    ran: list[int] = []
    spine.app.task(name="work", acks_late=False)(lambda: ran.append(1)).delay()
    holdings = work()
    assert ran == [1]
    assert len(holdings) == 0


# -- between two tasks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "at_most"), [({}, 1), ({"ignore_result": True}, 9)], ids=["results told", "nobody waits"]
)
def test_what_ended_waits_for_a_bounded_time_while_short_tasks_follow_one_another(spine, work, options, at_most):
    journal = Journal(spine.app.broker)
    put_before(spine, journal)
    waiting: list[int] = []

    def task() -> None:
        waiting.append(len(waiting) - journal.acked)
        spine.clock.advance(0.006)

    spine.app.task(name="work", **options)(task).delay_many(() for _ in range(20))
    holdings = work()
    assert len(waiting) == 20
    assert max(waiting) <= at_most  # those that ended in the last 5 ms, or in the last 50
    assert len(holdings) == 0
