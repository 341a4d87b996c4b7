"""What a node does for its store: renews leases, lets due messages become ready, takes back what dead holders left."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from celeriac.exceptions import BrokerUnavailable
from celeriac.interfaces.broker import BrokerCapabilities, Lease
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import outgoing, receive, send
from celeriac.testing.faults import BrokerBefore, ResultsBefore
from celeriac.worker.consumer import Consumer
from celeriac.worker.holdings import Holdings
from celeriac.worker.leases import Holder, LeaseKeeper
from celeriac.worker.renewals import Renewals
from celeriac.worker.revoked import Revoked
from celeriac.worker.upkeep import UpkeepLoop

DEADLINE = 10.0


class Noting(BrokerBefore):
    """A broker that notes how many leases each call extends, and which queues are asked for."""

    def __init__(self, inner):
        super().__init__(inner)
        self.extended: list[int] = []
        self.asked: list[list[str]] = []
        self.away = False

    def extend(self, leases, *, lease):
        self.extended.append(len(leases))
        return self._inner.extend(leases, lease=lease)

    def receive(self, queues, terms, *, wait):
        self.asked.append(list(queues))
        if self.away:
            raise BrokerUnavailable("away")
        return self._inner.receive(queues, terms, wait=wait)


@pytest.fixture
def broker(spine) -> Noting:
    return Noting(spine.app.broker)


def until(condition) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def held(broker, count: int) -> list[Lease]:
    send(broker, *range(count))
    return [delivery.lease for delivery in receive(broker, limit=count)]


# -- leases ------------------------------------------------------------------------------------------------------------


def keeper(broker, holdings: Holdings, lost: list[str], *, note_delay: float = 0.0) -> LeaseKeeper:
    def tell(leases):
        lost.extend(lease.tag for lease in leases)

    return LeaseKeeper(
        broker, lease=30.0, holders=[Holder(holdings, Renewals())], lost=tell, clock=FakeClock(), note_delay=note_delay
    )


def test_a_renewed_lease_lives_on(spine, broker):
    holdings = Holdings()
    holdings.held(held(broker, 3))
    lost: list[str] = []
    renewing = keeper(broker, holdings, lost)
    for _ in range(5):
        spine.clock.advance(20)
        renewing.renew()
        assert broker.upkeep(limit=10).reclaimed == 0
    assert lost == []


def test_a_lease_that_ended_is_told(spine, broker):
    holdings = Holdings()
    leases = held(broker, 2)
    holdings.held(leases)
    spine.clock.advance(31)
    broker.upkeep(limit=10)
    lost: list[str] = []
    keeper(broker, holdings, lost).renew()
    assert lost == [lease.tag for lease in leases]


def test_what_was_settled_while_the_store_was_asked_is_not_lost(broker):
    holdings = Holdings()
    (lease,) = held(broker, 1)
    holdings.held([lease])

    class Settling(BrokerBefore):
        def extend(self, leases, *, lease):
            broker.ack(leases)
            holdings.settled([each.tag for each in leases])
            return self._inner.extend(leases, lease=lease)

    lost: list[str] = []
    keeper(Settling(broker), holdings, lost).renew()
    assert lost == []


def test_what_was_settled_is_not_lost_while_the_note_of_it_is_on_the_way(broker):
    holdings = Holdings()
    (lease,) = held(broker, 1)
    holdings.held([lease])
    note = threading.Timer(0.01, holdings.settled, [[lease.tag]])

    class Settling(BrokerBefore):
        def extend(self, leases, *, lease):
            broker.ack(leases)
            note.start()
            return self._inner.extend(leases, lease=lease)

    lost: list[str] = []
    waiting = keeper(Settling(broker), holdings, lost, note_delay=DEADLINE)
    waiting._stopped = note.finished  # so that it waits no longer than the note takes
    waiting.renew()
    assert lost == []


def test_many_leases_are_renewed_in_batches(broker):
    holdings = Holdings()
    holdings.held(held(broker, 2500))
    keeper(broker, holdings, []).renew()
    assert broker.extended == [1000, 1000, 500]


def test_nothing_held_asks_nothing(broker):
    keeper(broker, Holdings(), []).renew()
    assert broker.extended == []


def test_a_store_without_leases_is_left_alone(broker):
    class Without(BrokerBefore):
        capabilities = BrokerCapabilities(leases=False)

    keeping = keeper(Without(broker), Holdings(), [])
    keeping.start()
    assert "celeriac-leases" not in {thread.name for thread in threading.enumerate()}
    keeping.stop()


def test_the_keeper_s_thread_ends_when_it_is_told(broker):
    keeping = keeper(broker, Holdings(), [])
    keeping.start()
    keeping.stop()
    assert "celeriac-leases" not in {thread.name for thread in threading.enumerate()}


# -- upkeep ------------------------------------------------------------------------------------------------------------


class Sweeps(ResultsBefore):
    swept = 0

    def sweep(self, *, limit):
        self.swept += 1
        return self._inner.sweep(limit=limit)


def test_a_round_lets_due_messages_become_ready_and_comes_back_when_the_next_is_due(spine, broker):
    loop = UpkeepLoop(broker, None, clock=spine.clock)
    assert loop.round() == 0.1
    now = spine.clock.now()
    broker.send([outgoing(n, not_before=now + n) for n in (1, 1.0625)])
    assert loop.round() == 0.1
    spine.clock.advance(1)
    assert loop.round() == 0.0625
    assert len(receive(broker)) == 1
    spine.clock.advance(0.0615)
    assert loop.round() == 0.005
    spine.clock.advance(0.001)
    loop.round()
    assert len(receive(broker)) == 1


def test_where_a_watch_tells_of_delayed_messages_an_idle_store_is_looked_at_less_often(spine, broker, monkeypatch):
    watched = msgspec.structs.replace(broker.capabilities, needs_watch=True)
    monkeypatch.setattr(type(broker), "capabilities", property(lambda _self: watched))
    loop = UpkeepLoop(broker, None, clock=spine.clock)
    assert loop.round() == 8.0
    broker.send([outgoing(1, not_before=spine.clock.now() + 60)])
    assert loop.round() == 0.5


def test_a_round_is_done_at_once_when_something_was_delayed(spine, broker, monkeypatch):
    loop = UpkeepLoop(broker, None, clock=spine.clock)
    rounds: list[float] = []
    monkeypatch.setattr(loop, "round", lambda: rounds.append(1.0) or 3600.0)
    try:
        loop.start()
        until(lambda: len(rounds) == 1)
        loop.hurry()
        until(lambda: len(rounds) == 2)
    finally:
        loop.stop()


def test_a_round_takes_back_what_dead_holders_left(spine, broker, caplog):
    held(broker, 2)
    spine.clock.advance(31)
    UpkeepLoop(broker, None, clock=spine.clock).round()
    assert len(receive(broker)) == 2
    assert "2 deliveries came back from holders whose lease ended" in caplog.text


def test_while_there_is_more_to_do_the_rounds_follow_at_once(spine, broker):
    now = spine.clock.now()
    broker.send([outgoing(n, not_before=now + 1) for n in range(1500)])
    spine.clock.advance(1)
    loop = UpkeepLoop(broker, None, clock=spine.clock)
    assert loop.round() == 0.005
    loop.round()
    assert broker.stats(["work"])["work"].ready == 1500


def test_results_are_swept_each_minute(spine, broker):
    results = Sweeps(spine.app.results)
    loop = UpkeepLoop(broker, results, clock=spine.clock)
    swept = []
    for _ in range(5):
        loop.round()
        swept.append(results.swept)
        spine.clock.advance(30)
    assert swept == [0, 0, 1, 1, 2]


# -- consuming ---------------------------------------------------------------------------------------------------------


def consumer(broker, *queues: str) -> tuple[Consumer, Holdings]:
    holdings = Holdings()
    return Consumer(
        broker, holdings, queues=queues, lease=30.0, owner="node/1", clock=FakeClock(), revoked=Revoked(None)
    ), holdings


def test_the_ledger_knows_of_what_was_taken(broker):
    taking, holdings = consumer(broker, "work")
    send(broker, 1, 2)
    deliveries = taking.take(limit=10, wait=0)
    assert holdings.all() == [delivery.lease for delivery in deliveries]


def test_queues_take_turns_at_being_first(broker):
    taking, _ = consumer(broker, "a", "b", "c")
    send(broker, 1, 2, 3, queue="a")
    for _ in range(4):
        taking.take(limit=1, wait=0)
    assert broker.asked == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_queues_in_which_nothing_was_do_not_change_places(broker):
    taking, _ = consumer(broker, "a", "b")
    for _ in range(2):
        taking.take(limit=1, wait=0)
    assert broker.asked == [["a", "b"], ["a", "b"]]


class Riding:
    """Acknowledgements of nothing, which go along with whatever is called."""

    def ride(self, broker, queues, terms):
        return broker.ack_and_receive([], queues, terms)[1]


def test_a_lease_counts_from_when_it_was_asked_for(broker):
    clock = FakeClock()
    taking = Consumer(
        broker, Holdings(), queues=["work"], lease=30.0, owner="node/1", clock=clock, revoked=Revoked(None)
    )
    send(broker, 1, 2)
    clock.advance(5)
    assert len(taking.take(limit=1, wait=0)) == 1
    assert taking.claim.moment == clock.boottime()
    clock.advance(7)
    assert len(taking.take_and_ack(Riding(), limit=1, freely=1)) == 1
    assert taking.claim.moment == clock.boottime()


def test_a_broker_that_is_away_is_told_once_and_so_is_its_return(broker, caplog):
    caplog.set_level("INFO")
    taking, _ = consumer(broker, "work")
    broker.away = True
    for _ in range(3):
        taking.wake()  # so that it does not rest
        assert taking.take(limit=1, wait=0) == ()
    broker.away = False
    taking.take(limit=1, wait=0)
    assert caplog.text.count("Cannot receive from memory://") == 1
    assert caplog.text.count("Connected again to memory://") == 1


def test_wake_ends_a_wait(broker):
    taking, _ = consumer(broker, "work")
    threading.Timer(0.01, taking.wake).start()
    assert list(taking.take(limit=1, wait=DEADLINE)) == []
