"""Automatic retries: which errors, after how long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Task
from celeriac.app.retrying import AutoRetry, backoff_delay
from celeriac.testing.clock import EPOCH
from tests.unit.spine import Spine

FACTORS = st.floats(min_value=0, max_value=1e6)
RETRIES = st.integers(min_value=0, max_value=10_000)
MAXIMA = st.floats(min_value=0, max_value=1e6)


@given(FACTORS, RETRIES, MAXIMA)
def test_without_jitter_the_pause_doubles_up_to_the_most(factor, retries, maximum):
    delay = backoff_delay(factor=factor, retries=retries, maximum=maximum, jitter=False)
    assert delay == min(maximum, factor * 2.0 ** min(retries, 62))


@given(FACTORS, RETRIES, MAXIMA)
def test_with_jitter_it_is_a_part_of_that(factor, retries, maximum):
    whole = backoff_delay(factor=factor, retries=retries, maximum=maximum, jitter=False)
    assert 0 <= backoff_delay(factor=factor, retries=retries, maximum=maximum, jitter=True) <= whole


def test_jitter_spreads_over_the_whole_span():
    delays = [backoff_delay(factor=1, retries=3, maximum=600, jitter=True) for _ in range(500)]
    assert min(delays) < 2
    assert max(delays) > 6


def policy(**changes: Any) -> AutoRetry:
    fields = {"catch": [OSError], "spare": [], "options": {}, "backoff": False, "backoff_max": 600, "jitter": False}
    return AutoRetry(**{**fields, **changes})


def test_it_covers_subclasses_but_not_what_is_spared():
    careful = policy(spare=[FileNotFoundError])
    assert careful.covers(OSError())
    assert careful.covers(TimeoutError())
    assert not careful.covers(FileNotFoundError())
    assert not careful.covers(ValueError())


@pytest.mark.parametrize(
    ("backoff", "retries", "expected"),
    [(False, 3, None), (True, 0, 1), (True, 3, 8), (5, 2, 20), (0.5, 1, 1), (0, 1, None)],
)
def test_back_off_is_off_or_the_seconds_before_the_first_retry(backoff, retries, expected):
    assert policy(backoff=backoff).countdown(retries) == expected


# -- in a run ----------------------------------------------------------------------------------------------------------


def follow_up(spine: Spine, **options: Any) -> Any:
    @spine.app.task(name="work", **options)
    def work() -> None:
        raise OSError("away")

    work.apply_async(task_id="x")
    return next(iter(spine.run().follow_ups), None)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 180),
        ({"default_retry_delay": 4}, 4),
        ({"retry_kwargs": {"countdown": 6}}, 6),
        ({"retry_backoff": 3, "retry_jitter": False}, 3),
        ({"retry_backoff": 30, "retry_backoff_max": 10, "retry_jitter": False}, 10),
    ],
)
def test_a_covered_error_is_retried_after_what_the_task_says(spine, options, seconds):
    assert follow_up(spine, autoretry_for=(OSError,), **options).not_before == EPOCH + seconds


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"autoretry_for": (ValueError,)},
        {"autoretry_for": (OSError,), "dont_autoretry_for": (OSError,)},
        {"autoretry_for": (OSError,), "max_retries": 0},
        {"autoretry_for": (OSError,), "retry_kwargs": {"max_retries": 0}},
    ],
)
def test_an_error_that_is_not_covered_any_more_fails_the_task_with_its_own_traceback(spine, options):
    assert follow_up(spine, **options) is None
    result = spine.app.AsyncResult("x")
    assert repr(result.result) == "OSError('away')"
    told = result.traceback or ""
    assert told.splitlines()[1].endswith("in work"), told
    assert "retry" not in told


def test_a_base_exception_may_be_retried_too(spine):
    class Stop(BaseException):
        pass

    @spine.app.task(autoretry_for=(Stop,), bind=True)
    def work(self: Task[..., object]) -> None:
        raise Stop

    work.delay()
    assert len(spine.run().follow_ups) == 1
