"""Moments as messages carry them: ISO 8601 text, numbers, datetimes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

_written = msgspec.json.Encoder().encode


def written(moment: datetime) -> str:
    """Return an aware moment in ISO 8601, as its `isoformat` does for several times the price."""
    if moment.tzinfo is not UTC:
        return moment.isoformat()
    return _written(moment)[1:-2].decode() + "+00:00"  # in quotes, and with a Z at the end


def parse(value: Any) -> datetime | None:
    """Return the moment, aware and in UTC; None for None and for empty text.

    Text and datetimes without an offset are UTC; numbers are seconds since the epoch. Raises ValueError for anything
    else, and for what lies outside the years that a datetime knows.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            zone = value.tzinfo
            return value if zone is UTC else value.replace(tzinfo=UTC) if zone is None else value.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"no moment: {error}") from error
    raise ValueError(f"expected ISO 8601 text or a number, got {type(value).__name__}")
