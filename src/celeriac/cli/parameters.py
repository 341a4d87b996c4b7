"""Kinds of option values that several commands take."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


class Json(click.ParamType[Any]):
    """A JSON value of a given kind."""

    name = "JSON"

    def __init__(self, kind: type[list[Any] | dict[str, Any]]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(value, type=self._kind)
        except msgspec.DecodeError as error:
            example = "'[4, 5]'" if self._kind is list else "'{\"x\": 4}'"
            self.fail(f"{value!r} is not the JSON that is wanted here, such as {example} ({error}).", param, ctx)


class Moment(click.ParamType[datetime]):
    """A date and time in ISO 8601; in UTC where it names no offset."""

    name = "ISO-8601"
    wanted = "date and time, such as 2026-01-31T12:00Z"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no {self.wanted}.", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class MomentOrSeconds(Moment):
    """A date and time, or a number of seconds from now."""

    name = "ISO-8601|SECONDS"
    wanted = f"number of seconds and no {Moment.wanted}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return float(value)
        except (TypeError, ValueError):
            return super().convert(value, param, ctx)


class Age(click.ParamType[float]):
    """A span of time as a number with a unit; in seconds."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str):
            return float(value)
        found = _AGE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no span of time, such as 90s, 30m, 2h or 7d.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas."""

    name = "NAME[,NAME...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if not isinstance(value, str):
            return tuple(value)
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("at least one name is wanted.", param, ctx)
        return names
