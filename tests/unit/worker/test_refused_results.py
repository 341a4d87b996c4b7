"""Results that a store refuses, for good or for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultRecord
from celeriac.testing.faults import Fault, FaultSchedule, FaultyResults, ResultsBefore
from celeriac.worker.outcome import Completion, Settle
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
