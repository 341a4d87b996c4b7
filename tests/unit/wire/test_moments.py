"""Moments as text: written as the standard library writes them, read from whatever stands for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from celeriac.wire import moments

ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(0)), timezone(-timedelta(hours=3))]
)


@given(st.datetimes(timezones=ZONES))
def test_a_moment_is_written_as_isoformat_does(moment: datetime) -> None:
    assert moments.written(moment) == moment.isoformat()


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES))
def test_what_was_written_is_read_as_the_same_moment_in_utc(moment: datetime) -> None:
    read = moments.parse(moments.written(moment))
    assert read == moment
    assert read is not None
    assert read.tzinfo is UTC
    assert moments.parse(moment) == moment
