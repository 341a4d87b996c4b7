"""The suite of the result contract: precedence, ends, waking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac import states
from celeriac.exceptions import BackendError
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.waiting import wait_for
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.case import Case
from celeriac.testing.conformance.samples import DEADLINE, in_thread

LONG = 60.0
TTL = 1.0
WAITERS = 50

ALL = ["PENDING", "RECEIVED", "STARTED", "RETRY", "REJECTED", "PROGRESS", "SUCCESS", "FAILURE", "REVOKED"]


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> ResultBackend:
    """A second client of the same store."""
    results = reopen().results
    assert results is not None
    return results


def record(task_id: str, state: str = states.SUCCESS, *, note: str = "", ttl: float | None = 600.0) -> ResultRecord:
    """Make a record in the form that results have in every store: a JSON object with the state in it."""
    return ResultRecord(task_id=task_id, state=state, payload=payload(task_id, state, note), ttl=ttl)


def payload(task_id: str, state: str = states.SUCCESS, note: str = "") -> bytes:
    return b'{"task_id":"%b","status":"%b","result":"%b","traceback":null,"children":[]}' % (
        task_id.encode(),
        state.encode(),
        note.encode(),
    )


def test_a_result_comes_back_as_it_was_stored(results: ResultBackend, peer: ResultBackend) -> None:
    results.store([record("a"), record("b", states.FAILURE)])
    assert dict(peer.fetch(["a", "b"])) == {"a": payload("a"), "b": payload("b", states.FAILURE)}


def test_an_unknown_result_is_absent(results: ResultBackend) -> None:
    results.store([record("a")])
    assert dict(results.fetch(["nobody", "a"])) == {"a": payload("a")}
    assert dict(results.fetch([])) == {}


def test_storing_nothing_is_no_error(results: ResultBackend) -> None:
    results.store([])


@pytest.mark.parametrize("together", [False, True], ids=["apart", "in-one-batch"])
@pytest.mark.parametrize("old", ALL)
@pytest.mark.parametrize("new", ALL)
def test_a_state_is_replaced_only_by_one_that_may(
    results: ResultBackend, old: str, new: str, *, together: bool
) -> None:
    first, second = record("a", old, note="old"), record("a", new, note="new")
    if together:
        results.store([first, second])
    else:
        results.store([first])
        results.store([second])
    kept = second if states.may_replace(new, old) else first
    assert results.fetch(["a"])["a"] == kept.payload


def test_one_forbidden_record_does_not_stop_the_others(results: ResultBackend) -> None:
    results.store([record("done", note="first")])
    results.store([record("x"), record("done", states.STARTED, note="late"), record("y")])
    assert dict(results.fetch(["x", "done", "y"])) == {
        "x": payload("x"),
        "done": payload("done", note="first"),
        "y": payload("y"),
    }


def test_of_many_who_store_at_once_no_state_steps_back(results: ResultBackend, peer: ResultBackend) -> None:
    records = [record("a", states.STARTED, note=str(n)) for n in range(20)]
    records.insert(7, record("a", note="won"))
    with ThreadPoolExecutor(8) as pool:
        stores = [pool.submit((results, peer)[n % 2].store, [one]) for n, one in enumerate(records)]
        for stored in stores:
            stored.result(DEADLINE)
    assert results.fetch(["a"])["a"] == payload("a", note="won")


def test_a_result_ends_after_its_time(results: ResultBackend, case: Case, clock: FakeClock) -> None:
    results.store([record("short", ttl=TTL), record("long", ttl=600.0), record("kept", ttl=None)])
    clock.advance(TTL + 0.1)
    if not case.expires_by_clock:
        time.sleep(TTL + 0.1)
    assert set(results.fetch(["short", "long", "kept"])) == {"long", "kept"}
    if case.expires_by_clock:
        clock.advance(10_000_000)
        assert set(results.fetch(["short", "long", "kept"])) == {"kept"}


def test_an_ended_result_no_longer_stands_in_the_way(results: ResultBackend, case: Case, clock: FakeClock) -> None:
    results.store([record("a", ttl=TTL)])
    clock.advance(TTL + 0.1)
    if not case.expires_by_clock:
        time.sleep(TTL + 0.1)
    results.store([record("a", states.STARTED)])
    assert results.fetch(["a"])["a"] == payload("a", states.STARTED)


def test_a_sweep_removes_what_has_ended_up_to_its_limit(results: ResultBackend, case: Case, clock: FakeClock) -> None:
    results.store([record(f"short-{n}", ttl=10.0) for n in range(5)])
    results.store([record("long", ttl=1000.0), record("kept", ttl=None)])
    assert results.sweep(limit=100) == 0
    clock.advance(11)
    swept = [results.sweep(limit=3), results.sweep(limit=3), results.sweep(limit=3)]
    assert swept in ([3, 2, 0], [0, 0, 0])
    assert swept == [3, 2, 0] or not case.expires_by_clock
    assert set(results.fetch(["long", "kept"])) == {"long", "kept"}


def test_a_forgotten_result_is_absent(results: ResultBackend) -> None:
    results.store([record("a"), record("b")])
    results.forget(["a", "never-was"])
    results.forget([])
    assert set(results.fetch(["a", "b"])) == {"b"}


def test_a_forgotten_result_may_be_stored_anew(results: ResultBackend) -> None:
    results.store([record("a", note="first")])
    results.forget(["a"])
    results.store([record("a", states.STARTED, note="second")])
    assert results.fetch(["a"])["a"] == payload("a", states.STARTED, "second")


def test_a_large_result_comes_back_whole(results: ResultBackend) -> None:
    large = record("a", note="x" * 3_000_000)
    results.store([large])
    assert results.fetch(["a"])["a"] == large.payload


def test_a_batch_of_thousands_is_stored_and_fetched(results: ResultBackend) -> None:
    ids = [f"id-{n}" for n in range(3000)]
    results.store([record(task_id) for task_id in ids])
    assert dict(results.fetch(ids)) == {task_id: payload(task_id) for task_id in ids}
    assert len(wait_for(results, ids, timeout=DEADLINE)) == 3000
    results.forget(ids)
    assert dict(results.fetch(ids)) == {}


def test_waiting_for_what_is_ready_returns_at_once(results: ResultBackend) -> None:
    results.store([record("a", states.REVOKED)])
    assert dict(wait_for(results, ["a"], timeout=LONG)) == {"a": payload("a", states.REVOKED)}


def test_waiting_returns_all_that_are_ready(results: ResultBackend) -> None:
    results.store([record("a"), record("b", states.FAILURE), record("c", states.STARTED)])
    assert set(wait_for(results, ["a", "b", "c", "d"], timeout=LONG)) == {"a", "b"}


def test_waiting_ends_empty_when_its_time_is_over(results: ResultBackend) -> None:
    results.store([record("a", states.STARTED)])
    start = time.monotonic()
    assert dict(wait_for(results, ["a", "b"], timeout=0.2)) == {}
    assert time.monotonic() - start >= 0.19
    assert dict(wait_for(results, ["a"], timeout=0.0)) == {}


def test_waiting_for_nothing_is_over_at_once(results: ResultBackend) -> None:
    assert dict(wait_for(results, [], timeout=LONG)) == {}


@pytest.mark.parametrize("state", [states.SUCCESS, states.FAILURE, states.REVOKED])
def test_another_clients_result_wakes_who_waits(results: ResultBackend, peer: ResultBackend, state: str) -> None:
    with in_thread(lambda: wait_for(results, ["x", "a"], timeout=LONG)) as woken:
        peer.store([record("a", state)])
        assert dict(woken.result(DEADLINE)) == {"a": payload("a", state)}


def test_another_threads_result_wakes_who_waits(results: ResultBackend) -> None:
    with in_thread(lambda: wait_for(results, ["a"], timeout=LONG)) as woken:
        results.store([record("a")])
        assert set(woken.result(DEADLINE)) == {"a"}


def test_a_state_that_is_not_ready_wakes_nobody(results: ResultBackend, peer: ResultBackend) -> None:
    with in_thread(lambda: wait_for(results, ["a"], timeout=LONG)) as woken:
        for state in (states.RECEIVED, states.STARTED, states.RETRY, "PROGRESS"):
            peer.store([record("a", state)])
        peer.store([record("stranger")])
        time.sleep(0.2)
        assert not woken.done()
        peer.store([record("a")])
        assert dict(woken.result(DEADLINE)) == {"a": payload("a")}


def test_many_may_wait_at_once(results: ResultBackend, peer: ResultBackend) -> None:
    ids = [f"id-{n}" for n in range(WAITERS)]
    started = threading.Barrier(WAITERS + 1)

    def wait(task_id: str) -> bytes:
        started.wait(DEADLINE)
        return wait_for(results, [task_id], timeout=LONG)[task_id]

    with ThreadPoolExecutor(WAITERS) as pool:
        waits = [pool.submit(wait, task_id) for task_id in ids]
        started.wait(DEADLINE)
        for first in range(0, WAITERS, 10):
            peer.store([record(task_id) for task_id in ids[first : first + 10]])
        assert [waiting.result(DEADLINE) for waiting in waits] == [payload(task_id) for task_id in ids]


def test_several_who_wait_for_the_same_are_all_woken(results: ResultBackend, peer: ResultBackend) -> None:
    with (
        in_thread(lambda: wait_for(results, ["a"], timeout=LONG)) as first,
        in_thread(lambda: wait_for(results, ["b", "a"], timeout=LONG)) as second,
    ):
        peer.store([record("a")])
        assert set(first.result(DEADLINE)) == set(second.result(DEADLINE)) == {"a"}


def test_closing_ends_a_wait_with_an_error_and_twice_is_no_error(reopen: Callable[[], Store]) -> None:
    results = reopen().results
    assert results is not None
    with in_thread(lambda: wait_for(results, ["a"], timeout=LONG)) as woken:
        results.close()
        results.close()
        with pytest.raises(BackendError):
            woken.result(DEADLINE)


def test_connecting_is_no_error_and_the_location_names_the_store(results: ResultBackend) -> None:
    results.connect()
    assert "://" in results.location
