"""An engine does not begin what it claimed when the lease of that may have ended: it stood still meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac.exceptions import BrokerUnavailable
from celeriac.interfaces.broker import Lease
from celeriac.interfaces.store import Store
from celeriac.testing.faults import BrokerBefore
from celeriac.worker import claims, engine
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.leases import Holder, LeaseKeeper
from celeriac.worker.options import WorkerOptions, plan
from celeriac.worker.renewals import Claim, Renewals
from tests.unit.spine import NODE, Spine

DEADLINE = 10.0
LEASE = 30.0


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine claim all at once and keep it, however long the machine takes over a task."""
    monkeypatch.setattr(claims, "_WORK_AHEAD", 60.0)
    monkeypatch.setattr(claims, "_FREELY", 60.0)
    monkeypatch.setattr(engine, "_STUCK", 60.0)


class Noting(BrokerBefore):
    """A broker that notes the tags which each call extends; it is `away` for that when it is told."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.extended: list[list[str]] = []
        self.away = False

    def extend(self, leases, *, lease):
        if self.away:
            raise BrokerUnavailable("away")
        self.extended.append([each.tag for each in leases])
        return self._inner.extend(leases, lease=lease)


class Node:
    """A node whose tasks are `fast`, `freeze` (which does what the test says) and `victim`; `last` ends it."""

    def __init__(self, spine: Spine, *, during: Callable[[], None], pool: str = "solo") -> None:
        self.spine = spine
        self.broker = Noting(spine.app.broker)
        spine.app.stores._broker_store = Store(broker=self.broker, results=spine.app.results)
        self.ran: list[int] = []
        self.holdings = Holdings()
        self.pool = pool
        app = spine.app
        self.fast = app.task(name="fast")(lambda: None)
        self.freeze = app.task(name="freeze")(during)
        self.victim = app.task(name="victim")(self.ran.append)

        @app.task(name="last")
        def last() -> None:
            self.engine.stop()

        self.last = last

    def run(self, *, victims: int = 5) -> None:
        """Run until `last`: the engine claims the freeze and the victims at once, since it knows of fast tasks."""
        for _ in range(5):
            self.fast.delay()
        self.freeze.delay()
        self.victim.delay_many((number,) for number in range(victims))
        self.last.delay()
        node = plan(
            WorkerOptions(pool=self.pool, concurrency=1, hostname=NODE), self.spine.app.conf, queues=("celery",)
        )
        with ThreadPoolExecutor(1) as pool:  # in the main thread it would take SIGALRM for itself
            self.engine = Engine(self.spine.app, node, self.holdings, index=1)
            pool.submit(self.engine.run).result(DEADLINE)

    def be_frozen(self, *, lease_ends: bool = True) -> list[Lease]:
        """Let more than a lease go by, and another node take what was held: it runs the victims. Return theirs."""
        self.spine.clock.advance(LEASE + 1)
        if not lease_ends:
            return []
        self.broker.upkeep(limit=100)
        theirs = []
        for delivery in self.spine.taken():
            if delivery.message.headers["task"] == "victim":
                theirs.append(delivery.lease)
            elif delivery.message.headers["task"] == "last":
                self.broker.requeue([delivery.lease])
            else:
                self.broker.ack([delivery.lease])
        return theirs

    def keeper(self) -> LeaseKeeper:
        """Return the supervisor's part, to be told when to do a round."""
        return LeaseKeeper(
            self.broker,
            lease=LEASE,
            holders=[Holder(self.holdings, self.engine.renewals)],
            lost=lambda leases: self.engine.lost([lease.tag for lease in leases]),
            clock=self.spine.clock,
            note_delay=0.0,
        )


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_what_another_runs_since_the_engine_stood_still_is_not_begun_here(spine, caplog, pool):
    theirs: list[Lease] = []
    node = Node(spine, during=lambda: theirs.extend(node.be_frozen()), pool=pool)
    node.run()
    assert len(theirs) == 5
    assert node.ran == []
    assert "6 tasks are not begun, their leases ended: other workers run them now (victim[" in caplog.text
    assert node.broker.ack(theirs) == []


def test_what_nobody_took_meanwhile_is_held_again_and_runs(spine):
    frozen: list[int] = []

    def during() -> None:
        node.be_frozen(lease_ends=False)
        frozen.append(len(node.broker.extended))

    node = Node(spine, during=during)
    node.run()
    assert node.ran == [0, 1, 2, 3, 4]
    assert frozen == [0]
    assert [len(tags) for tags in node.broker.extended] == [6]


def test_what_the_supervisor_has_renewed_costs_no_call(spine):
    def during() -> None:
        keeper = node.keeper()
        for _ in range(5):
            spine.clock.advance(LEASE / 2)
            keeper.renew()

    node = Node(spine, during=during)
    node.run()
    assert node.ran == [0, 1, 2, 3, 4]
    assert len(node.broker.extended) == 5


def test_what_the_supervisor_found_lost_is_not_begun_whatever_it_renewed_since(spine):
    theirs: list[Lease] = []

    def during() -> None:
        keeper = node.keeper()
        keeper._lost = lambda leases: node.holdings.settled([lease.tag for lease in leases])  # the note is on its way
        theirs.extend(node.be_frozen())
        keeper.renew()
        keeper.renew()

    node = Node(spine, during=during)
    node.run()
    assert len(theirs) == 5
    assert node.ran == []


def test_what_the_supervisor_tells_to_be_lost_is_not_begun_though_its_lease_seems_to_last(spine):
    def during() -> None:
        victims = node.holdings.all()[-4:-2]
        node.broker.requeue(victims)
        node.engine.lost([lease.tag for lease in victims])

    node = Node(spine, during=during)
    node.run()
    assert node.ran == [0, 1, 4]
    assert spine.app.broker.stats(["celery"])["celery"].ready == 2


def test_what_cannot_be_made_sure_because_the_store_is_away_is_given_back(spine, caplog):
    def during() -> None:
        node.be_frozen(lease_ends=False)
        node.broker.away = True

    node = Node(spine, during=during)
    node.run()
    assert sorted(node.ran) == [0, 1, 2, 3, 4]
    assert "6 tasks are given back, not begun: whether their leases ended is not known: away" in caplog.text


def test_who_is_stopped_again_while_the_store_is_asked_asks_again(spine):
    theirs: list[Lease] = []

    def extend(leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        lost = node.broker._inner.extend(leases, lease=lease)
        if not theirs:
            theirs.extend(node.be_frozen())
        return lost

    def during() -> None:
        node.be_frozen(lease_ends=False)
        node.broker.extend = extend

    node = Node(spine, during=during)
    node.run()
    assert len(theirs) == 5
    assert node.ran == []


# -- what the supervisor writes down -----------------------------------------------------------------------------------


def test_a_renewal_counts_for_the_claims_that_the_supervisor_knew_of():
    renewals = Renewals()
    early, late = Claim(moment=1.0, number=3), Claim(moment=2.0, number=4)
    assert renewals.sure_at(early) == 1.0
    renewals.renewed(10.0, through=3)
    assert renewals.sure_at(early) == 10.0
    assert renewals.sure_at(late) == 2.0
    renewals.lost(through=3)
    renewals.renewed(20.0, through=4)
    assert renewals.sure_at(early) == 1.0
    assert renewals.sure_at(late) == 20.0
    renewals.clear()
    assert renewals.sure_at(late) == 2.0
