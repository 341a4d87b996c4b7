"""Turn what a user gave into the type that a setting has, or say that it cannot be."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import timedelta
from functools import cache
from math import isfinite
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_SCALARS = (bool, int, float, str, bytes)


def convert(value: Any, kind: Any) -> Any:
    """Return `value` as `kind`; raise `ValueError` when it is of another type.

    Nothing is guessed: text is no number and no truth. Accepted besides the type itself are a whole number for a
    float, a `timedelta` for seconds, and a list, a set or a single text for a tuple.
    """
    kinds = members(kind)
    if Any in kinds or (value is None and types.NoneType in kinds):
        return value
    for member in kinds:
        try:
            return _as_member(value, member)
        except (msgspec.ValidationError, TypeError, ValueError):
            continue
    raise ValueError(kind)


def from_text(text: str, kind: Any) -> Any:
    """Return what `text`, from the environment or the command line, says as `kind`; raise `ValueError`.

    Truth is 1, true, yes or on; a number may be ``inf``; nothing is ``none`` or the empty text where the setting may be
    None; a list is JSON or words with commas between; a mapping is JSON.
    """
    kinds = members(kind)
    if types.NoneType in kinds and text.strip().lower() in ("", "none", "null"):
        return None
    for reading in _readings(text, kinds):
        try:
            return convert(reading, kind)
        except ValueError:
            continue
    raise ValueError(kind)


def is_measure(value: Any, *, least: float) -> bool:
    """Tell whether a value, if it is a number, is finite and not below `least`."""
    return not isinstance(value, int | float) or isinstance(value, bool) or (isfinite(value) and value >= least)


@cache
def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _as_member(value: Any, kind: Any) -> Any:
    origin = get_origin(kind) or kind
    if origin is float and isinstance(value, timedelta):
        return value.total_seconds()
    if origin is tuple:
        return _as_tuple(value, kind)
    if origin is Literal or origin in _SCALARS:
        return msgspec.convert(value, kind)
    if not isinstance(value, origin):
        raise TypeError(kind)
    return dict(value) if isinstance(value, Mapping) else value


def _as_tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    item = get_args(kind)[0]
    if isinstance(value, str) and item is str:
        return (value,)
    if isinstance(value, AbstractSet):
        value = sorted(value, key=str)
    if not isinstance(value, list | tuple):
        raise TypeError(kind)
    return tuple(value if item is Any else (msgspec.convert(each, item) for each in value))


def _readings(text: str, kinds: Sequence[Any]) -> Iterator[Any]:
    """Yield what the text may mean, the plainest first that one of the types can hold."""
    word = text.strip()
    if bool in kinds and word.lower() in _TRUE | _FALSE:
        yield word.lower() in _TRUE
    if int in kinds or any(get_origin(kind) is Literal for kind in kinds):
        with suppress(ValueError):
            yield int(word)
    if float in kinds:
        with suppress(ValueError):
            yield float(word)
    if word[:1] in ("{", "["):
        with suppress(ValueError):
            yield msgspec.json.decode(word)
    if str not in kinds and any(get_origin(kind) is tuple for kind in kinds):
        yield [part.strip() for part in word.split(",") if part.strip()]
    yield text
