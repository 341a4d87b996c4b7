"""Names for the types that several rooms share; no behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

Args: TypeAlias = Sequence[Any]
"""Positional arguments of a task, as the user's data passes through."""

Kwargs: TypeAlias = Mapping[str, Any]
"""Keyword arguments of a task, as the user's data passes through."""

Seconds: TypeAlias = float
"""A span of time."""

Moment: TypeAlias = float
"""A point in time: seconds since the epoch, UTC."""

When: TypeAlias = datetime | float | str
"""A point in time as users give it: an aware datetime, ISO 8601 text, or seconds from now."""
