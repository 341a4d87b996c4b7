"""Times in a call's options: countdown, eta and expires, as moments in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.app.moments import Moments
from celeriac.exceptions import ImproperlyConfigured
from celeriac.testing.clock import EPOCH, FakeClock

NOW = datetime.fromtimestamp(EPOCH, UTC)


def moments(zone: object = None) -> Moments:
    return Moments(FakeClock(), timezone=zone)


@pytest.mark.parametrize("seconds", [0, 1, 0.5, 86400, -5])
def test_a_countdown_is_in_seconds_from_now(seconds):
    assert moments().start({"countdown": seconds}) == NOW + timedelta(seconds=seconds)


def test_without_countdown_and_eta_a_task_may_start_at_once():
    assert moments().start({"expires": 3, "eta": None, "countdown": None}) is None


def test_a_countdown_wins_over_an_eta():
    assert moments().start({"countdown": 1, "eta": NOW}) == NOW + timedelta(seconds=1)


@given(st.datetimes(timezones=st.timezones()))
def test_an_aware_eta_is_the_same_moment_in_utc(moment):
    start = moments("Asia/Tokyo").start({"eta": moment})
    assert (start.timestamp(), start.tzinfo) == (moment.timestamp(), UTC)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [(None, 12), ("UTC", 12), ("Europe/Berlin", 10), ("America/New_York", 16), (timezone(timedelta(hours=5)), 7)],
)
def test_a_naive_eta_is_in_the_time_zone_of_the_application(zone, hour):
    start = moments(zone).start({"eta": datetime(2026, 7, 1, 12)})
    assert start == datetime(2026, 7, 1, hour, tzinfo=UTC)


def test_a_naive_eta_in_the_hour_that_comes_twice_is_the_first_unless_it_says_fold():
    twice = datetime(2026, 10, 25, 2, 30)
    assert moments("Europe/Berlin").start({"eta": twice}) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moments("Europe/Berlin").start({"eta": twice.replace(fold=1)}) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00+00:00", "2026-01-31T12:00Z", "2026-01-31 13:00+01:00", "2026-01-31T12:00"]
)
def test_an_eta_may_be_text_in_iso_8601(text):
    assert moments().start({"eta": text}) == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_text_that_is_no_moment_is_an_error_with_an_example():
    with pytest.raises(ValueError, match=r"eta='tomorrow' is no date and time in ISO 8601, such as"):
        moments().start({"eta": "tomorrow"})


@pytest.mark.parametrize("eta", [5, 5.0, ["2026"], NOW.date()])
def test_an_eta_of_another_kind_is_an_error(eta):
    with pytest.raises(TypeError, match="eta must be a datetime"):
        moments().start({"eta": eta})


@pytest.mark.parametrize("expires", [30, 30.0, timedelta(seconds=30), NOW + timedelta(seconds=30)])
def test_an_end_is_a_span_from_now_or_a_moment(expires):
    assert moments().end(expires) == NOW + timedelta(seconds=30)


def test_a_naive_end_is_in_the_time_zone_of_the_application():
    assert moments("Europe/Berlin").end(datetime(2026, 7, 1, 12)) == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc", ""])
def test_a_time_zone_that_is_not_known_is_a_setting_that_cannot_work(zone):
    with pytest.raises(ImproperlyConfigured, match="timezone="):
        moments(zone)


# -- through an application -------------------------------------------------------------------------------------------


def test_a_delayed_call_waits_in_the_broker_until_its_moment(spine):
    spine.app.send_task("work", countdown=60)
    assert not spine.taken()
    spine.clock.advance(59)
    assert spine.app.broker.upkeep(limit=10).promoted == 0
    spine.clock.advance(1)
    assert spine.app.broker.upkeep(limit=10).promoted == 1
    assert spine.call().eta == NOW + timedelta(seconds=60)


def test_an_eta_that_is_past_is_for_now(spine):
    spine.app.send_task("work", eta=NOW - timedelta(hours=1))
    assert len(spine.taken()) == 1


def test_the_time_zone_is_the_setting(make_spine):
    spine = make_spine(timezone="America/New_York")
    spine.app.send_task("work", eta=datetime(2020, 1, 1, 12))
    assert spine.call().eta == datetime(2020, 1, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("of_task", "of_call", "expected"),
    [(None, {}, None), (60, {}, 60), (60, {"expires": 5}, 5), (60, {"expires": None}, None)],
)
def test_expiry_is_the_call_s_or_else_the_task_s(spine, of_task, of_call, expected):
    spine.app.task(name="work", expires=of_task)(lambda: None).apply_async(**of_call)
    expires = spine.call().expires
    assert expires == (None if expected is None else NOW + timedelta(seconds=expected))
