"""How many messages an engine takes at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.worker.claims import ClaimSize

RUNTIMES = st.floats(min_value=0, max_value=3600)


def claims(*runtimes: float, slots: int = 4) -> ClaimSize:
    size = ClaimSize(slots)
    for runtime in runtimes:
        size.note(runtime)
    return size


def test_one_is_claimed_while_nothing_is_known():
    assert claims().size == 1
    assert claims().expected == float("inf")


@pytest.mark.parametrize(
    ("runtime", "slots", "expected"),
    [(0.01, 1, 5), (0.01, 4, 20), (0.001, 1, 50), (0.00001, 1, 200), (0.0, 1, 200), (0.06, 1, 1), (60, 8, 1)],
)
def test_as_many_are_claimed_as_fit_in_50_ms(runtime, slots, expected):
    assert claims(runtime, slots=slots).size == expected


@pytest.mark.parametrize(
    ("runtime", "slots", "expected"), [(0.01, 1, 1), (0.01, 4, 2), (0.001, 1, 5), (0.00001, 1, 200), (60, 8, 1)]
)
def test_5_ms_of_work_are_taken_even_where_little_is_left(runtime, slots, expected):
    assert claims(runtime, slots=slots).freely == expected


def test_one_is_taken_freely_while_nothing_is_known():
    assert claims().freely == 1


@given(st.lists(RUNTIMES, min_size=1, max_size=30), st.integers(min_value=1, max_value=64))
def test_a_claim_is_always_between_1_and_200_and_the_mean_among_the_run_times(runtimes, slots):
    size = claims(*runtimes, slots=slots)
    assert 1 <= size.size <= 200
    assert min(runtimes) - 1e-9 <= size.expected <= max(runtimes) + 1e-9


def test_slower_tasks_are_followed_faster_than_quicker_ones():
    up, down = claims(0.0, 1.0), claims(1.0, 0.0)
    assert up.expected == 0.5
    assert down.expected == 0.8
