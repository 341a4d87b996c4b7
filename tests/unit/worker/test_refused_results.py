"""Results and follow-ups that a store refuses, for good or for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from celeriac.exceptions import BackendError, BrokerError, BrokerUnavailable, ImproperlyConfigured
from celeriac.interfaces.broker import Outgoing
from celeriac.interfaces.results import ResultRecord
from celeriac.testing.conformance.samples import drain, outgoing
from celeriac.testing.faults import BrokerBefore, Fault, FaultSchedule, FaultyResults, ResultsBefore
from celeriac.worker.chords import ChordEnds
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import Sequel
from tests.unit.spine import Spine
from tests.unit.worker.test_completion import Bench, record


@pytest.fixture
def bench(spine: Spine) -> Bench:
    return Bench(spine)


class Picky(ResultsBefore):
    """A result store that refuses some results for good, as one that is limited in size does."""

    def __init__(self, inner: Any, refused: set[str]) -> None:
        super().__init__(inner)
        self._refused = refused

    def store(self, records: Sequence[ResultRecord]) -> None:
        if any(each.task_id in self._refused and each.state == "SUCCESS" for each in records):
            raise BackendError("too large")
        self._inner.store(records)


class Full(ResultsBefore):
    """A result store that has no room for anything, until it has."""

    is_full = True

    def store(self, records: Sequence[ResultRecord]) -> None:
        if self.is_full:
            raise BackendError("out of memory")
        self._inner.store(records)


class Small(ResultsBefore):
    """A result store that says of a success that no other try would store it."""

    def store(self, records: Sequence[ResultRecord]) -> None:
        if any(each.state == "SUCCESS" for each in records):
            raise too_large()
        self._inner.store(records)


class Riding(BrokerBefore):
    """A broker that says the same of results that come with an acknowledgement."""

    def ack(self, leases, *, follow_ups=None, results=()):
        if results:
            error = BrokerError("too large")
            error.is_for_good = True
            raise error
        return self._inner.ack(leases, follow_ups=follow_ups)


def too_large() -> BackendError:
    error = BackendError("too large")
    error.is_for_good = True
    return error


def _finish(bench, completer):
    for _ in range(20):
        completer.flush()
        bench.spine.clock.advance(1.0)
    assert completer.waiting == 0


def _refuse(*_: object) -> None:
    raise too_large()


def test_a_result_that_is_refused_for_good_holds_up_no_other_and_says_so_itself(bench):
    completer = bench.between(bench.broker, Picky(bench.spine.app.results, {"3", "7"}))
    for number, lease in enumerate(bench.held(10)):
        completer.add(Completion(lease, Settle.ACK, record(number)))
    for _ in range(200):
        completer.flush()
        bench.spine.clock.advance(6.0)
    assert completer.waiting == 0
    assert bench.stored() == {str(number) for number in range(10)}
    assert bench.stats() == (0, 0, 0, 0)
    failure = bench.spine.app.AsyncResult("7")
    assert failure.state == "FAILURE"
    assert "too large" in str(failure.result)


def test_a_result_that_no_other_try_would_store_is_given_up_though_nothing_else_ends(bench):
    completer = bench.between(bench.broker, Small(bench.spine.app.results))
    (lease,) = bench.held(1)
    completer.add(Completion(lease, Settle.ACK, record(3)))
    _finish(bench, completer)
    assert bench.stats() == (0, 0, 0, 0)
    failure = bench.spine.app.AsyncResult("3")
    assert failure.state == "FAILURE"
    assert "too large" in str(failure.result)


def test_a_full_store_costs_no_result_though_messages_are_given_back_meanwhile(bench):
    results = Full(bench.spine.app.results)
    completer = bench.between(bench.broker, results)
    first, *others = bench.held(30)
    completer.add(Completion(first, Settle.ACK, record(0)))
    for lease in others:
        for _ in range(4):
            completer.flush()
            bench.spine.clock.advance(6.0)
        completer.add(Completion(lease, Settle.REQUEUE))
    results.is_full = False
    for _ in range(120):
        completer.flush()
        bench.spine.clock.advance(6.0)
    assert completer.waiting == 0
    assert bench.spine.app.results.fetch(["0"]) == {"0": b"{}"}


def test_a_result_that_rode_and_no_other_try_would_store_takes_nothing_else_with_it(bench):
    completer = bench.between(Riding(bench.broker), Small(bench.spine.app.results), results_ride=True)
    (lease,) = bench.held(1)
    completer.add(Completion(lease, Settle.ACK, record(3), [outgoing(1, queue="next")]))
    _finish(bench, completer)
    assert drain(bench.broker, "next") == [1]
    assert bench.spine.app.AsyncResult("3").state == "FAILURE"


def test_what_a_chord_would_count_and_its_store_never_takes_is_a_dead_letter(bench, monkeypatch):
    completer = bench.between(bench.broker, Small(bench.spine.app.results))
    (lease,) = bench.held(1)
    monkeypatch.setattr(ChordEnds, "gather", _refuse)
    completer.add(Completion(lease, Settle.ACK, record(3), sequel=Sequel()))
    _finish(bench, completer)
    assert bench.stats() == (0, 0, 0, 1)
    assert bench.spine.app.AsyncResult("3").state == "FAILURE"
    (letter,) = bench.spine.app.dead_letters.list()
    assert letter.reason == "what follows it could not be sent: too large"


def test_a_store_that_is_away_costs_no_result_however_long(bench):
    results = FaultyResults(bench.spine.app.results, FaultSchedule(*[Fault.BEFORE] * 40))
    completer = bench.between(bench.broker, results)
    for number, lease in enumerate(bench.held(4)):
        completer.add(Completion(lease, Settle.ACK, record(number)))
    for _ in range(80):
        completer.flush()
        bench.spine.clock.advance(6.0)
    assert completer.waiting == 0
    assert bench.spine.app.results.fetch(["0", "1", "2", "3"]) == dict.fromkeys("0123", b"{}")


# -- what follows ------------------------------------------------------------------------------------------------------


class Strict(BrokerBefore):
    """A broker that sends nothing to the queue ``refused``."""

    def __init__(self, inner: Any, error: Exception) -> None:
        super().__init__(inner)
        self._error = error
        self.tries = 0

    def _look(self, follow_ups: Sequence[Outgoing]) -> None:
        if any(each.route.queue == "refused" for each in follow_ups):
            self.tries += 1
            raise self._error

    def send(self, outgoing, *, nonce=None):
        self._look(outgoing)
        self._inner.send(outgoing, nonce=nonce)

    def ack(self, leases, *, follow_ups=None, results=()):
        self._look([each for many in (follow_ups or {}).values() for each in many])
        return self._inner.ack(leases, follow_ups=follow_ups, results=results)


def end(lease: Any, number: int, queue: str) -> Completion:
    return Completion(
        lease, Settle.ACK, ResultRecord(str(number), "RETRY", b"{}", None), [outgoing(number, queue=queue)]
    )


def test_a_next_try_in_a_queue_that_cannot_be_fails_its_task_at_once_and_holds_up_no_other(bench):
    broker = Strict(bench.broker, ImproperlyConfigured("a queue cannot be called that"))
    completer = bench.between(broker, bench.spine.app.results)
    for number, lease in enumerate(bench.held(10)):
        completer.add(end(lease, number, "refused" if number in {3, 7} else "next"))
    assert completer.flush(), "without a pause, since no store is away"
    assert sorted(drain(bench.broker, "next")) == [0, 1, 2, 4, 5, 6, 8, 9]
    assert bench.stats() == (0, 0, 0, 2)
    failure = bench.spine.app.AsyncResult("7")
    assert failure.state == "FAILURE"
    assert "could not be sent: a queue cannot be called that" in str(failure.result)
    reasons = {letter.reason for letter in bench.spine.app.dead_letters.list()}
    assert reasons == {"what follows it could not be sent: a queue cannot be called that"}


def test_a_next_try_that_the_store_alone_refuses_fails_its_task_when_it_did_so_ten_times(bench):
    broker = Strict(bench.broker, BrokerError("that key is something else"))
    completer = bench.between(broker, bench.spine.app.results)
    lease, *others = bench.held(40)
    completer.add(end(lease, 0, "refused"))
    for number, other in enumerate(others, start=1):
        completer.add(end(other, number, "next"))
        completer.flush()
        bench.spine.clock.advance(6.0)
    assert completer.flush()
    assert broker.tries < 20, "what failed alone does not make others fail with it"
    assert len(drain(bench.broker, "next")) == 39
    assert bench.spine.app.AsyncResult("0").state == "FAILURE"
    assert bench.stats() == (0, 0, 0, 1)


def test_a_follow_up_of_a_task_that_was_acknowledged_before_is_given_up_with_a_failure(bench):
    broker = Strict(bench.broker, ImproperlyConfigured("no"))
    completer = bench.between(broker, bench.spine.app.results)
    completer.add(end(None, 0, "refused"))
    assert completer.flush()
    assert bench.spine.app.AsyncResult("0").state == "FAILURE"


def test_a_broker_that_is_away_costs_no_follow_up_however_long(bench):
    broker = Strict(bench.broker, BrokerUnavailable("away"))
    completer = bench.between(broker, bench.spine.app.results)
    completer.add(end(bench.held(1)[0], 0, "refused"))
    for _ in range(80):
        completer.flush()
        bench.spine.clock.advance(6.0)
    assert completer.waiting == 1
    assert bench.stats() == (0, 0, 1, 0)
