"""Completing deliveries: store, then send what follows, then acknowledge; nothing is lost while a store is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import BackendError, BackendStoreError
from celeriac.interfaces.broker import Lease
from celeriac.testing.conformance.samples import QUEUE, drain, outgoing
from celeriac.testing.faults import Fault, FaultSchedule, FaultyBroker, FaultyResults, ResultsBefore
from celeriac.worker.outcome import Completion, Settle
from tests.unit.spine import Spine
from tests.unit.worker.completing import Bench, record

T = TypeVar("T")


@pytest.fixture
def bench(spine: Spine) -> Bench:
    return Bench(spine)


def test_results_are_stored_then_follow_ups_sent_then_the_message_acknowledged(bench):
    late, early = bench.held(1)[0], None
    bench.completer.add(Completion(early, Settle.ACK, record(1), [outgoing("after early ack", queue="next")]))
    bench.completer.add(Completion(late, Settle.ACK, record(0), [outgoing("follow", queue="next")]))
    assert bench.completer.flush()
    assert bench.journal.asked == ["store", "send", "ack"]
    assert sorted(drain(bench.broker, "next")) == ["after early ack", "follow"]
    assert bench.stored() == {"0", "1"}
    assert bench.stats() == (0, 0, 0, 0)


def test_many_ends_go_out_in_one_call_of_each_kind(bench):
    leases = bench.held(12)
    ends = [
        Completion(leases[0]), Completion(leases[1], record=record(1)), Completion(leases[2], Settle.REQUEUE),
        Completion(leases[3], Settle.REQUEUE), Completion(leases[4], Settle.REQUEUE, delay=5.0),
        Completion(leases[5], Settle.REJECT, reason="a"), Completion(leases[6], Settle.REJECT, reason="a"),
        Completion(leases[7], Settle.REJECT, reason="b"), *(Completion(lease) for lease in leases[8:]),
    ]  # fmt: skip
    for end in ends:
        bench.completer.add(end)
    bench.completer.flush()
    assert bench.journal.asked == ["store", "ack", "requeue", "requeue 5", "reject a", "reject b"]
    assert bench.stats() == (2, 1, 0, 3)
    assert len(bench.holdings) == 0


def test_a_reason_that_is_no_valid_text_is_written_with_escapes(bench):
    (lease,) = bench.held(1)
    bench.completer.add(Completion(lease, Settle.REJECT, reason="no such file: \udcff\u00e4"))
    assert bench.completer.flush()
    (letter,) = bench.spine.app.dead_letters.list()
    assert letter.reason == "no such file: \\udcff\u00e4"


def test_a_state_on_the_way_is_stored_and_settles_nothing(bench):
    (lease,) = bench.held(1)
    bench.completer.add(Completion(None, Settle.NOTHING, record(0)))
    bench.completer.flush()
    assert bench.journal.asked == ["store"]
    assert bench.holdings.all() == [lease]


def test_nothing_to_do_asks_nothing(bench):
    assert bench.completer.flush()
    assert bench.journal.asked == []


# -- a store that is away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["store", "ack", "requeue", "reject no", "send"])
def test_whatever_step_fails_nothing_is_lost_and_what_was_settled_is_not_settled_again(bench, step):
    leases = bench.held(3)
    bench.journal.fails = [step]
    ends = [
        Completion(None, Settle.ACK, record(0), [outgoing("early", queue="next")]),
        Completion(leases[0], Settle.ACK, record(1), [outgoing("late", queue="next")]),
        Completion(leases[1], Settle.REQUEUE),
        Completion(leases[2], Settle.REJECT, record(2), reason="no"),
    ]
    for end in ends:
        bench.completer.add(end)
    assert not bench.completer.flush()
    bench.spine.clock.advance(1)
    assert bench.completer.flush()
    asked = [name for name in bench.journal.asked if name != "store"]
    assert asked == ["send", "ack", "requeue", "reject no"]
    assert sorted(drain(bench.broker, "next")) == ["early", "late"]
    assert bench.stored() == {"0", "1", "2"}
    assert bench.stats() == (1, 0, 0, 1)
    assert bench.completer.waiting == 0


def test_nothing_is_acknowledged_before_its_result_is_stored(bench):
    bench.completer.add(Completion(bench.held(1)[0], record=record(0)))
    bench.journal.fails = ["store"] * 3
    for _ in range(3):
        assert not bench.completer.flush()
        bench.spine.clock.advance(10)
    assert bench.journal.asked == []
    assert bench.stats() == (0, 0, 1, 0)


def test_between_tries_there_are_growing_pauses(bench):
    bench.journal.fails = ["ack"] * 8
    bench.completer.add(Completion(bench.held(1)[0]))
    tried = []
    for _ in range(2000):
        before = len(bench.journal.fails)
        bench.completer.flush()
        if len(bench.journal.fails) < before:
            tried.append(round(bench.spine.clock.monotonic(), 2))
        bench.spine.clock.advance(0.01)
    pauses = [round(after - before, 1) for before, after in pairwise(tried)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert bench.journal.asked == ["ack"]


def test_one_that_is_refused_holds_up_others_for_less_than_two_seconds(bench):
    class Choosy(ResultsBefore):
        def store(self, records):
            if any(each.task_id == "17" for each in records):
                raise BackendStoreError("not this one")
            super().store(records)

    completer = bench.between(bench.broker, Choosy(bench.spine.app.results))
    for number, lease in enumerate(bench.held(100)):
        completer.add(Completion(lease, record=record(number)))
    began = bench.spine.clock.monotonic()
    while completer.waiting > 1:
        completer.flush()
        bench.spine.clock.advance(0.01)
    assert bench.spine.clock.monotonic() - began < 2.0
    assert bench.stored() == {str(number) for number in range(100)} - {"17"}


def test_what_comes_during_a_pause_goes_out_after_it_in_order(bench):
    first, second = bench.held(2)
    bench.journal.fails = ["ack"]
    bench.completer.add(Completion(first))
    bench.completer.flush()
    assert bench.completer.add(Completion(second)) == 2
    assert not bench.completer.flush()
    bench.spine.clock.advance(1)
    assert bench.completer.flush()
    assert bench.journal.asked == ["ack"]


def test_an_error_that_no_store_should_raise_loses_nothing_and_shows_its_traceback(bench, caplog):
    class Broken(ResultsBefore):
        def store(self, records):
            raise RuntimeError("a bug of the driver's")

    completer = bench.between(bench.broker, Broken(bench.spine.app.results))
    completer.add(Completion(bench.held(1)[0], record=record(0)))
    assert not completer.flush()
    assert completer.waiting == 1
    assert "1 completions are kept" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("fault", Fault)
def test_through_lost_connections_every_message_is_settled_and_every_result_stored(bench, fault):
    completer = bench.between(
        FaultyBroker(bench.broker, FaultSchedule(fault, every=2, seed=3)),
        FaultyResults(bench.spine.app.results, FaultSchedule(fault, every=2, seed=4)),
    )
    for number, lease in enumerate(bench.held(60)):
        completer.add(Completion(lease, record=record(number), follow_ups=[outgoing(f"after {number}", queue="next")]))
        completer.flush()
        bench.spine.clock.advance(10)
    while completer.waiting:
        completer.flush()
        bench.spine.clock.advance(10)
    assert bench.stored() == {str(number) for number in range(60)}
    assert bench.stats() == (0, 0, 0, 0)
    assert sorted(drain(bench.broker, "next")) == sorted(f"after {number}" for number in range(60))


# -- leases that were lost ---------------------------------------------------------------------------------------------


def test_what_comes_of_a_lost_lease_is_dropped_whether_it_waits_or_comes_later(bench):
    waits, comes, kept = bench.held(3)
    bench.completer.add(Completion(waits, record=record(0)))
    bench.completer.drop([waits.tag, comes.tag])
    bench.completer.add(Completion(comes, record=record(1)))
    bench.completer.add(Completion(kept, record=record(2)))
    bench.completer.flush()
    assert bench.stored() == {"2"}
    assert bench.stats() == (0, 0, 2, 0)


def test_what_comes_of_a_lease_that_is_lost_while_the_store_is_away_is_dropped(bench):
    (lease,) = bench.held(1)

    class Losing(ResultsBefore):
        def store(self, records):
            bench.completer.drop([lease.tag])
            raise BackendError("away")

    bench.completer = bench.between(bench.broker, Losing(bench.spine.app.results))
    bench.completer.add(Completion(lease, record=record(0)))
    assert not bench.completer.flush()
    assert bench.completer.waiting == 0


def test_no_lost_lease_is_remembered_for_longer_than_needed(bench):
    waits, comes = bench.held(2)
    bench.completer.add(Completion(waits))
    bench.completer.drop([waits.tag, comes.tag])
    bench.completer.add(Completion(comes))
    assert not bench.completer._lost


def test_a_lease_that_the_store_says_was_lost_is_told_of_and_forgotten(bench, caplog):
    (lease,) = bench.held(1)
    bench.completer.add(Completion(Lease(QUEUE, "stale")))
    bench.completer.add(Completion(lease))
    assert bench.completer.flush()
    assert "on queue work was lost before it was settled (stale)" in caplog.text
    assert bench.stats() == (0, 0, 0, 0)


# -- age and drain -----------------------------------------------------------------------------------------------------


def test_the_age_is_that_of_the_oldest(bench):
    assert bench.completer.age == 0
    first, second = bench.held(2)
    bench.completer.add(Completion(first))
    bench.spine.clock.advance(3)
    bench.completer.add(Completion(second))
    assert bench.completer.age == 3
    bench.completer.flush()
    assert bench.completer.age == 0


def test_during_a_pause_nothing_is_old(bench):
    bench.journal.fails = ["ack"]
    bench.completer.add(Completion(bench.held(1)[0]))
    bench.spine.clock.advance(1)
    bench.completer.flush()
    assert bench.completer.age == 0


def test_drain_waits_for_what_another_thread_has_under_way(bench):
    begun, passes = threading.Event(), threading.Event()

    class Slow(ResultsBefore):
        def store(self, records):
            begun.set()
            assert passes.wait(10)

    completer = bench.between(bench.broker, Slow(bench.spine.app.results))
    completer.add(Completion(bench.held(1)[0], record=record(0)))
    other = threading.Thread(target=completer.flush)
    other.start()
    assert begun.wait(10)
    opener = threading.Timer(0.01, passes.set)
    opener.start()
    assert completer.drain(10)
    other.join()
    assert bench.stats() == (0, 0, 0, 0)


def test_drain_gives_up_when_its_time_is_over(bench):
    class Away(ResultsBefore):
        def store(self, records):
            bench.spine.clock.advance(1)
            raise BackendError("away")

    completer = bench.between(bench.broker, Away(bench.spine.app.results))
    completer.add(Completion(bench.held(1)[0], record=record(0)))
    assert not completer.drain(0.5)
    assert completer.waiting == 1


# -- any mixture -------------------------------------------------------------------------------------------------------

Make = Callable[[Lease], Completion]
ENDS = st.lists(
    st.sampled_from(
        [
            Completion,
            lambda lease: Completion(lease, Settle.REQUEUE),
            lambda lease: Completion(lease, Settle.REQUEUE, delay=5.0),
            lambda lease: Completion(lease, Settle.REJECT, reason="no"),
        ]
    ),
    max_size=12,
)


@given(ENDS, st.lists(st.sampled_from(["ack", "requeue", "requeue 5", "reject no"]), max_size=6))
def test_any_mixture_of_ends_and_failures_settles_each_message_once(makes, fails):
    bench = Bench(Spine())
    bench.journal.fails = fails
    completions = [make(lease) for make, lease in zip(makes, bench.held(len(makes)), strict=True)]
    for completion in completions:
        bench.completer.add(completion)
    for _ in range(len(fails) + 1):
        bench.completer.flush()
        bench.spine.clock.advance(10)
    delayed = sum(completion.delay > 0 for completion in completions)
    back = sum(completion.settle is Settle.REQUEUE for completion in completions) - delayed
    dead = sum(completion.settle is Settle.REJECT for completion in completions)
    assert bench.stats() == (back, delayed, 0, dead)
    assert len(bench.holdings) == 0
    bench.spine.close()
