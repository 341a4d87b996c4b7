"""Jobs that were claimed for the event loop and have not begun."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from celeriac.worker.admission import Job
from celeriac.worker.coroutine_backlog import CoroutineBacklog
from tests.unit.spine import Spine


def a_job(spine: Spine, *, redelivered: bool = False, **options: Any) -> Job:
    task = spine.app.task(name="t", **options)(lambda: None)
    task.delay()
    job = spine.admit(msgspec.structs.replace(spine.delivery(), redelivered=redelivered))
    assert isinstance(job, Job)
    return job


def backlog(*, is_open: bool = True, is_sure: bool = True, slots: int = 100) -> tuple[CoroutineBacklog, list[str]]:
    woken: list[str] = []
    waiting = CoroutineBacklog(
        slots=slots, is_open=lambda: is_open, is_sure=lambda _: is_sure, wake=lambda: woken.append("main")
    )
    return waiting, woken


def test_nothing_is_claimed_ahead_while_nothing_is_known_of_run_times():
    waiting, _ = backlog()
    assert (waiting.limit(7), waiting.limit(0)) == (7, 0)


def test_what_gets_free_within_10_ms_is_claimed_ahead():
    waiting, _ = backlog()
    waiting.ended(0.02)
    assert (waiting.limit(7), waiting.limit(0)) == (57, 50)


def test_for_long_coroutines_nothing_is_claimed_ahead():
    waiting, _ = backlog()
    waiting.ended(60.0)
    assert waiting.limit(0) == 0


def test_no_claim_is_made_for_less_than_half_of_the_reserve(spine):
    waiting, _ = backlog(slots=4)
    waiting.ended(0.01)
    waiting.jobs.extend([a_job(spine)] * 2)
    assert (waiting.limit(0), waiting.limit(1)) == (0, 3)


def test_a_slot_that_was_left_is_taken_by_the_first_in_line(spine):
    waiting, woken = backlog()
    first = a_job(spine)
    waiting.jobs.extend([first, a_job(spine)])
    assert waiting.following() is first
    assert woken == []


def test_whoever_takes_the_last_of_the_reserve_has_more_claimed(spine):
    waiting, woken = backlog()
    waiting.jobs.append(a_job(spine))
    waiting.following()
    assert woken == ["main"]
    assert waiting.following() is None


@pytest.mark.parametrize("options", [{"redelivered": True}, {"acks_late": False}, {"track_started": True}])
def test_what_needs_a_trip_to_a_store_first_is_left_to_the_main_thread(spine, options):
    waiting, _ = backlog()
    job = a_job(spine, **options)
    waiting.jobs.append(job)
    assert waiting.following() is None
    assert waiting.next() is job


def test_nothing_begins_when_the_engine_stops(spine):
    waiting, _ = backlog(is_open=False)
    waiting.jobs.append(a_job(spine))
    assert waiting.following() is None
    assert waiting


def test_it_is_stuck_when_no_coroutine_begins(spine):
    waiting, _ = backlog()
    assert not waiting.is_stuck(0)
    waiting.jobs.append(a_job(spine))
    waiting.began(time.monotonic())
    assert not waiting.is_stuck(0)
    waiting.began(time.monotonic() - 1)
    assert waiting.is_stuck(0)
    assert not waiting.is_stuck(1)


def test_a_job_whose_lease_may_have_ended_is_left_to_the_main_thread(spine):
    waiting, _ = backlog(is_sure=False)
    job = a_job(spine)
    waiting.jobs.append(job)
    assert waiting.following() is None
    assert waiting.next() is job
