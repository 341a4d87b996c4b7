"""JSON as kombu writes and reads it: plain values, and tagged ones for the types that JSON has not.

A tagged value is an object with exactly two keys, ``{"__type__": marker, "__value__": plain}``:

    datetime  ISO text, with an offset when aware      time   ISO text
    date      ISO text                                  uuid   {"hex": "..."}
    decimal   text                                      bytes  text, when the bytes are UTF-8
                                                        base64 text, when they are not

So a dict of the user's with just these keys is written, and read as what it stands for, as with kombu; one that cannot
be read so is refused.

msgspec does the work for plain values (0.2 us for a small call, the standard library takes 3 us). It would write NaN
as null and a datetime as mere text, so the values are looked at first, and anything that is not exactly str, int,
float, bool, None, list, tuple or a dict with str keys goes through the standard library's encoder instead.
"""

from __future__ import annotations

import base64
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_TAG = "__type__"
_VALUE = "__value__"
TAG = b'"__type__"'
"""What the JSON of a tagged value has in it somewhere; found by `find`: ``in`` would first try it as a number, and drop
the error that this makes.
"""


class Plain(list[Any]):
    """A list of what is sure to be written as readers expect it, so that it is not looked at."""


class Unread(Sequence[Any]):
    """A list as it came in JSON, of whose values it is known where each begins and ends. Each is read when it is asked
    for, and a part of the list is such a list.

    It goes out again as it came: the rest of a chain of 100 takes 40 us to read, 140 us to look through and 20 us to
    write, and is at each of its steps. Reading a value may raise what `loads` raises.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: list[msgspec.Raw]) -> None:
        self.raw = raw

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> Unread: ...

    def __getitem__(self, place: int | slice) -> Any:
        return Unread(self.raw[place]) if isinstance(place, slice) else _read(self.raw[place])

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unread | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return repr(list(self))


_KEYS = frozenset({str})
SCALARS = frozenset({str, int, bool, type(None)})
"""Kinds of values that msgspec writes as everybody expects, but for text with lone surrogates."""
_SIMPLE = SCALARS | {float, list, tuple, dict, Plain}
_NOTHING: dict[str, Any] = {}
_MAX_DEPTH = 32  # deeper and wider values are left to the standard library, which finds circles and reports its limits
_MAX_WIDTH = 1_000_000

_fast_encode = msgspec.json.Encoder().encode
_fast_decode = msgspec.json.Decoder().decode

_encoders: dict[type, tuple[str | None, Callable[[Any], Any]]] = {}
_decoders: dict[str, Callable[[Any], Any]] = {}


def dumps(value: Any) -> bytes:
    """Write `value` as UTF-8 JSON.

    Raises TypeError for a type that has no JSON form and for what only looks like a tagged value, ValueError for a
    value that contains itself, RecursionError for one that is too deep.
    """
    if is_simple((value,)):
        try:
            return _fast_encode(value)
        except UnicodeEncodeError:  # a lone surrogate, which the standard library writes as an escape
            pass
    return _slow_encode(value).encode("ascii")


def dumps_call(args: Any, kwargs: Any) -> bytes | None:
    """Write the body of a call without callbacks, as `dumps` would; None when only `dumps` can, or nobody.

    Most calls carry a few scalars; those are looked at without a set being made for each level.
    """
    if (type(args) is not tuple and type(args) is not list) or type(kwargs) is not dict:
        return None
    are_scalars = SCALARS.issuperset(map(type, args)) and (
        not kwargs or (_KEYS.issuperset(map(type, kwargs)) and SCALARS.issuperset(map(type, kwargs.values())))
    )
    if not are_scalars and not is_simple((args, kwargs)):
        return None
    try:
        return _fast_encode((args, kwargs, _NOTHING))
    except UnicodeEncodeError:
        return None


def loads(body: bytes | str) -> Any:
    """Read JSON, and give tagged values their type back.

    Raises ValueError, TypeError, KeyError, AttributeError, ArithmeticError (broken text or a broken tagged value) or
    RecursionError (too deep).
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if raw.find(TAG) < 0:
        try:
            return _fast_decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass  # NaN, Infinity, lone surrogates, 1e400: the standard library reads them; broken text fails there too
    import json  # noqa: PLC0415  ADR 0012

    return json.loads(raw.decode("utf-8") if isinstance(body, bytes) else body, object_hook=_untag)


def loads_plain(body: bytes) -> Any:
    """Read JSON that has nothing but plain values, all of which msgspec reads; None when there is more to it."""
    if body.find(TAG) >= 0:
        return None
    try:
        return _fast_decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # the full reader takes NaN and the like, and has the reason for what is broken


def _read(raw: msgspec.Raw) -> Any:
    try:
        return _fast_decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # as in `loads`
        return loads(bytes(raw))


def is_simple(values: Iterable[Any]) -> bool:
    """Tell whether msgspec writes all of `values` as Celery's readers expect them.

    It goes level by level, so that it is quick for flat data and ends for values that contain themselves.
    """
    level = values
    for _ in range(_MAX_DEPTH):
        kinds = set(map(type, level))
        if kinds <= SCALARS:
            return True
        if not kinds <= _SIMPLE:
            return False
        deeper: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is float:
                if not isfinite(value):
                    return False
            elif kind is list or kind is tuple:
                deeper += value
            elif kind is dict and value:
                if not set(map(type, value)) <= _KEYS or is_tagged(value):
                    return False
                deeper += value.values()
        if not deeper:
            return True
        if len(deeper) > _MAX_WIDTH:
            return False
        level = deeper
    return False


def is_tagged(value: Mapping[str, Any]) -> bool:
    """Tell whether readers take this for a tagged value."""
    return len(value) == 2 and _TAG in value and _VALUE in value


def why_unreadable(value: Any) -> str:
    """Return why a value of plain JSON cannot be read again, empty if it can."""
    if not isinstance(value, dict) or not is_tagged(value):
        return ""
    try:
        _untag(value)
    except Exception as error:  # noqa: BLE001  of a decoder, which may be the user's
        return f"a dict of {_TAG} and {_VALUE} is read as a value of another type, and this one cannot be: {error}"
    return ""


def register_type(
    cls: type[T], marker: str | None, encode: Callable[[T], Any], decode: Callable[[Any], T] = lambda value: value
) -> None:
    """Let JSON carry instances of `cls`: `encode` gives a plain value, `decode` makes the instance of it again.

    With `marker` None the value is written bare and is not converted back. Call it when modules are imported, in every
    process that reads or writes such values.
    """
    _encoders[cls] = (marker, encode)
    if marker is not None:
        _decoders[marker] = decode


def _tag(value: Any) -> Any:
    reduce = getattr(value, "__json__", None)
    if reduce is not None:
        return reduce()
    for cls, (marker, encode) in _encoders.items():
        if isinstance(value, cls):
            plain = encode(value)
            return plain if marker is None else {_TAG: marker, _VALUE: plain}
    if isinstance(value, bytes):
        return _tag_bytes(value)
    if isinstance(value, msgspec.Raw):  # of an `Unread`
        return _read(value)
    if _is_lazy_text(value):
        return str(value)
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} cannot be written as JSON")


def _tag_bytes(value: bytes) -> dict[str, str]:
    try:
        return {_TAG: "bytes", _VALUE: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {_TAG: "base64", _VALUE: base64.b64encode(value).decode("ascii")}


def _is_lazy_text(value: Any) -> bool:
    # Only a process that has loaded this module can hold one of its values.
    module = sys.modules.get("django.utils.functional")
    return module is not None and isinstance(value, module.Promise)


def _untag(value: dict[str, Any]) -> Any:
    if not is_tagged(value):
        return value
    decode = _decoders.get(value[_TAG])
    if decode is None:
        raise ValueError(f"no type is registered for the JSON marker {value[_TAG]!r}")
    return decode(value[_VALUE])


def _slow_encode(value: Any) -> str:
    import json  # noqa: PLC0415  ADR 0012

    made = 0

    def tag(value: Any) -> Any:
        nonlocal made
        plain = _tag(value)
        made += type(plain) is dict and is_tagged(plain)
        return plain

    text = json.dumps(value, default=tag, separators=(",", ":"))
    if text.count(f'"{_TAG}"') > made:  # perhaps a dict of the user's
        try:
            json.loads(text, object_hook=_untag)
        except Exception as error:
            raise TypeError(f"what looks like a tagged value cannot be read: {error}") from error
    return text


_decoders["bytes"] = lambda text: text.encode("utf-8")
_decoders["base64"] = lambda text: base64.b64decode(text.encode("utf-8"))
# datetime stands before date, for a datetime is a date too.
register_type(datetime, "datetime", datetime.isoformat, datetime.fromisoformat)
register_type(date, "date", date.isoformat, lambda text: datetime.fromisoformat(text).date())
register_type(time, "time", time.isoformat, time.fromisoformat)
register_type(Decimal, "decimal", str, Decimal)
register_type(uuid.UUID, "uuid", lambda value: {"hex": value.hex}, lambda parts: uuid.UUID(**parts))
