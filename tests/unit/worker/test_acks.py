"""Acknowledgements that go along with the next claim."""

from __future__ import annotations

import pytest

from celeriac.exceptions import BrokerUnavailable, ImproperlyConfigured
from celeriac.interfaces.broker import Terms
from celeriac.interfaces.results import ResultRecord
from celeriac.testing.conformance.samples import drain, outgoing
from celeriac.testing.faults import BrokerBefore
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import Sequel
from tests.unit.spine import Spine
from tests.unit.worker.completing import Bench, Broker, Results, record

TERMS = Terms(limit=1, lease=30.0, owner="node/1", waits=True)


class Riding:
    """A broker whose `ack_and_receive` acknowledges, and brings what it was given."""

    def __init__(self, ack, brings=()):
        self._ack = ack
        self._brings = brings

    def ack_and_receive(self, leases, queues, terms, **done):
        return self._ack(leases, **done), self._brings


@pytest.fixture
def bench(spine: Spine) -> Bench:
    return Bench(spine)


def test_acknowledgements_go_with_another_call_once_their_results_are_stored(bench):
    leases = bench.held(3)
    bench.completer.add(Completion(leases[0], record=record(0)))
    bench.completer.add(Completion(leases[1]))
    acks = bench.completer.acks()
    assert bench.journal.asked == ["store"]
    assert acks.ride(Riding(bench.broker.ack, ["found"]), ["work"], TERMS) == ["found"]
    assert bench.stats() == (0, 0, 1, 0)
    assert len(bench.holdings) == 1
    assert bench.completer.acks() is None


def test_what_is_more_than_an_acknowledgement_goes_with_no_other_call(bench):
    for lease, end in zip(
        bench.held(3),
        ({"settle": Settle.REQUEUE}, {"sequel": Sequel(records=[record("next")])}, {"settle": Settle.REJECT}),
        strict=True,
    ):
        bench.completer.add(Completion(lease, **end))
        assert bench.completer.acks() is None
        assert bench.completer.waiting == 1
        assert bench.completer.flush()
    bench.completer.add(Completion(bench.held(1)[0]))
    assert bench.completer.acks() is not None


def test_what_follows_goes_with_the_acknowledgement(bench):
    bench.completer.add(Completion(bench.held(1)[0], record=record(0), follow_ups=[outgoing("x", queue="next")]))
    acks = bench.completer.acks()
    assert bench.journal.asked == ["store"]
    acks.ride(Riding(bench.broker.ack), ["work"], TERMS)
    assert drain(bench.broker, "next") == ["x"]
    assert bench.stats() == (0, 0, 0, 0)


def test_results_go_with_the_acknowledgement_where_one_store_keeps_both(bench):
    completer = bench.between(bench.broker, bench.spine.app.results, results_ride=True)
    (lease,) = bench.held(1)
    completer.add(Completion(lease, record=record(0)))
    acks = completer.acks()
    assert bench.stored() == set()
    acks.ride(Riding(bench.broker.ack), ["work"], TERMS)
    assert (bench.stats(), bench.stored()) == ((0, 0, 0, 0), {"0"})


def test_results_that_were_refused_with_the_acknowledgement_are_stored_before_it_at_the_next_try(bench):
    away = Away(bench.broker)
    completer = bench.between(
        Broker(away, bench.journal), Results(bench.spine.app.results, bench.journal), results_ride=True
    )
    completer.add(Completion(bench.held(1)[0], record=record(0)))
    assert not completer.flush()
    away.is_away = False
    bench.spine.clock.advance(1.0)
    assert completer.flush()
    assert bench.journal.asked == ["ack", "store", "ack"]
    assert (bench.stats(), bench.stored()) == ((0, 0, 0, 0), {"0"})


def test_a_message_that_cannot_be_sent_holds_up_no_claim_and_fails_its_task(bench):
    retried = ResultRecord("0", "RETRY", b"{}", None)
    bench.completer.add(Completion(bench.held(1)[0], record=retried, follow_ups=[outgoing("x", queue="next")]))

    def refused(_leases, **_done):
        raise ImproperlyConfigured("a queue cannot be called that")

    assert bench.completer.acks().ride(Riding(refused), ["work"], TERMS) == ()
    assert bench.completer.flush()
    assert bench.stats() == (0, 0, 0, 1)
    assert bench.spine.app.AsyncResult("0").state == "FAILURE"


class Away(BrokerBefore):
    """A broker that is away."""

    is_away = True

    def ack(self, leases, **done):
        if self.is_away:
            raise BrokerUnavailable("away")
        return self._inner.ack(leases, **done)


def test_acknowledgements_whose_trip_failed_are_tried_again(bench):
    bench.completer.add(Completion(bench.held(1)[0], record=record(0)))

    def away(_leases, **_done):
        raise BrokerUnavailable("away")

    with pytest.raises(BrokerUnavailable):
        bench.completer.acks().ride(Riding(away), ["work"], TERMS)
    assert bench.completer.waiting == 1
    assert bench.completer.acks() is None  # not yet
    assert bench.stats() == (0, 0, 1, 0)
    bench.spine.clock.advance(1.0)
    assert bench.completer.drain(1.0)
    assert bench.stats() == (0, 0, 0, 0)
    assert len(bench.holdings) == 0


def test_nothing_is_acknowledged_whose_result_could_not_be_stored(bench):
    bench.completer.add(Completion(bench.held(1)[0], record=record(0)))
    bench.journal.fails = ["store"]
    assert bench.completer.acks() is None
    assert bench.completer.waiting == 1
    assert bench.stats() == (0, 0, 1, 0)
    bench.spine.clock.advance(1.0)
    assert bench.completer.flush()
    assert (bench.stats(), bench.stored()) == ((0, 0, 0, 0), {"0"})


def test_a_lease_lost_before_its_acknowledgement_went_along_is_told(bench, caplog):
    (lease,) = bench.held(1)
    bench.completer.add(Completion(lease))
    bench.broker.requeue([lease])
    bench.completer.acks().ride(Riding(bench.broker.ack), ["work"], TERMS)
    assert "was lost before it was settled" in caplog.text
    assert bench.stats() == (1, 0, 0, 0)
