"""The times in a call's options: countdown, eta and expires as moments in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from celeriac.clock import Clock
from celeriac.exceptions import ImproperlyConfigured
from celeriac.types import Seconds


class Moments:
    """Reads times as users give them. Naive datetimes are in the application's time zone. Thread-safe."""

    def __init__(self, clock: Clock, *, timezone: str | tzinfo | None) -> None:
        self._clock = clock
        self._timezone = _zone(timezone)

    def start(self, options: Mapping[str, Any]) -> datetime | None:
        """Return when the task may start: now plus ``countdown``, or ``eta``; None for at once."""
        countdown = options.get("countdown")
        if countdown is not None:
            return self._from_now(float(countdown))
        eta = options.get("eta")
        return None if eta is None else self._aware(eta, "eta")

    def end(self, expires: Seconds | datetime | timedelta | str) -> datetime:
        """Return when the task may no longer start; a number is in seconds from now."""
        if isinstance(expires, timedelta):
            return self._from_now(expires.total_seconds())
        if isinstance(expires, int | float):
            return self._from_now(float(expires))
        return self._aware(expires, "expires")

    def _from_now(self, seconds: Seconds) -> datetime:
        return datetime.fromtimestamp(self._clock.now() + seconds, UTC)

    def _aware(self, moment: datetime | str, option: str) -> datetime:
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError as error:
                raise ValueError(
                    f"{option}={moment!r} is no date and time in ISO 8601, such as 2026-01-31T12:00Z."
                ) from error
        if not isinstance(moment, datetime):
            raise TypeError(f"{option} must be a datetime or ISO 8601 text, not {type(moment).__name__}.")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._timezone)
        return moment.astimezone(UTC)


def _zone(timezone: str | tzinfo | None) -> tzinfo:
    if timezone is None:
        return UTC
    if isinstance(timezone, tzinfo):
        return timezone
    # 2 of the 60 ms that `import celeriac` may take, and most applications are in UTC.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ImproperlyConfigured(
            f"timezone={timezone!r} is not known here: write a name like 'Europe/Berlin' (pip install tzdata where the"
            " system has no time zones)."
        ) from error
