"""AMQP's tables of named values, as RabbitMQ and py-amqp write them, to Python's and back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

__all__ = ["TableError", "read_table", "write_table"]

_U8: Final = struct.Struct(">B")
_U32: Final = struct.Struct(">I")
_I32: Final = struct.Struct(">i")
_I64: Final = struct.Struct(">q")
_U64: Final = struct.Struct(">Q")
_F64: Final = struct.Struct(">d")
_DECIMAL: Final = struct.Struct(">Bi")
_TEXT: Final = ord("S")
_NUMBERS: Final = {
    b"b": struct.Struct(">b"),
    b"B": _U8,
    b"s": struct.Struct(">h"),  # RabbitMQ's and py-amqp's reading; the standard has it as a short text
    b"u": struct.Struct(">H"),
    b"U": struct.Struct(">h"),
    b"I": _I32,
    b"i": _U32,
    b"l": _I64,
    b"L": _I64,
    b"f": struct.Struct(">f"),
    b"d": _F64,
}

_MOST_DEPTH: Final = 64

_SHORT: Final = 32
"""Text of fewer bytes comes again in the next message, as a rule (a name, where it came from); ids are longer."""
_MOST_KNOWN: Final = 256
_known: dict[bytes, str] = {}
"""Short texts that were read: one copy serves all messages that are in memory together."""


class TableError(Exception):
    """A value cannot be written, or bytes are no table."""


def write_table(values: Mapping[str, Any]) -> bytes:
    """Write a table. Raises `TableError`, naming the key, for what AMQP has no form for."""
    parts: list[bytes] = [b""]
    for key, value in values.items():
        _write_pair(parts, key, value)
    body = b"".join(parts)
    return _U32.pack(len(body)) + body


def read_table(data: bytes, at: int = 0) -> tuple[dict[str, Any], int]:
    """Read the table that begins at a position; return it and where it ends.

    Its values are those of JSON: a moment becomes its ISO form, bytes and text that is no UTF-8 become text with
    escapes, a decimal becomes a float. Raises `TableError`.
    """
    try:
        return _read_table(data, at, 0)
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise TableError(f"the headers are cut short or broken: {error}") from error


# -- writing -----------------------------------------------------------------------------------------------------------


def _write_pair(parts: list[bytes], key: str, value: Any) -> None:
    name = key.encode()
    if len(name) > 255:
        raise TableError(f"the name {key[:40]!r}... has more than 255 bytes")
    parts.append(_U8.pack(len(name)))
    parts.append(name)
    if value.__class__ is str:
        text = value.encode("utf-8", "backslashreplace")
        parts.append(b"S" + _U32.pack(len(text)))
        parts.append(text)
    else:
        try:
            _write_value(parts, value, 0)
        except TableError as error:
            raise TableError(f"header {key!r}: {error}") from error


def _write_value(parts: list[bytes], value: Any, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise TableError(f"it is nested deeper than {_MOST_DEPTH} levels")
    if value is None:
        parts.append(b"V")
    elif isinstance(value, bool):
        parts.append(b"t\x01" if value else b"t\x00")
    elif isinstance(value, int):
        parts.append(_integer(value))
    elif isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace")
        parts.append(b"S" + _U32.pack(len(text)) + text)
    elif isinstance(value, float):
        parts.append(b"d" + _F64.pack(value))
    elif isinstance(value, bytes):
        parts.append(b"x" + _U32.pack(len(value)) + value)
    elif isinstance(value, datetime):
        parts.append(b"T" + _I64.pack(int(value.timestamp())))
    else:
        _write_container(parts, value, depth)


def _write_container(parts: list[bytes], value: Any, depth: int) -> None:
    inner: list[bytes] = []
    if isinstance(value, list | tuple):
        for item in value:
            _write_value(inner, item, depth + 1)
        tag = b"A"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key).encode()
            if len(name) > 255:
                raise TableError(f"the name {str(key)[:40]!r}... has more than 255 bytes")
            inner.append(_U8.pack(len(name)) + name)
            _write_value(inner, item, depth + 1)
        tag = b"F"
    else:
        raise TableError(f"{type(value).__name__} has no form in AMQP")
    body = b"".join(inner)
    parts.append(tag + _U32.pack(len(body)) + body)


def _integer(value: int) -> bytes:
    if -0x80000000 <= value < 0x80000000:
        return b"I" + _I32.pack(value)
    if -0x8000000000000000 <= value < 0x8000000000000000:
        return b"l" + _I64.pack(value)
    raise TableError(f"the number {value} has more than 64 bits")


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_table(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > _MOST_DEPTH:
        raise TableError(f"the headers are nested deeper than {_MOST_DEPTH} levels")
    (length,) = _U32.unpack_from(data, at)
    at += 4
    end = at + length
    if end > len(data):
        raise TableError("the headers are cut short")
    table: dict[str, Any] = {}
    while at < end:
        begin = at + 1
        at = begin + data[at]
        raw = data[begin:at]
        key = _known.get(raw) or _text(raw)
        if data[at] == _TEXT:
            (size,) = _U32.unpack_from(data, at + 1)
            begin = at + 5
            at = begin + size
            raw = data[begin:at]
            table[key] = _known.get(raw) or _text(raw)
        else:
            table[key], at = _read_value(data, at, depth)
    if at != end:
        raise TableError("a value of the headers is cut short")
    return table, end


def _text(raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    if len(raw) < _SHORT:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[raw] = text
    return text


def _read_value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    at += 1
    if kind == b"V":
        return None, at
    if kind == b"t":
        return data[at] != 0, at + 1
    number = _NUMBERS.get(kind)
    if number is not None:
        return number.unpack_from(data, at)[0], at + number.size
    if kind == b"F":
        return _read_table(data, at, depth + 1)
    if kind in (b"S", b"x"):
        (size,) = _U32.unpack_from(data, at)
        begin = at + 4
        return data[begin : begin + size].decode("utf-8", "backslashreplace"), begin + size
    if kind == b"A":
        return _read_array(data, at, depth + 1)
    if kind == b"T":
        (seconds,) = _U64.unpack_from(data, at)
        try:
            return datetime.fromtimestamp(seconds, UTC).isoformat(), at + 8
        except (ValueError, OverflowError, OSError) as error:
            raise TableError(f"the headers hold a moment that no calendar has, {seconds}") from error
    if kind == b"D":
        (scale, value) = _DECIMAL.unpack_from(data, at)
        return float(Decimal(value).scaleb(-scale)), at + 5
    raise TableError(f"the headers hold a value of an unknown kind, {kind!r}")


def _read_array(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > _MOST_DEPTH:
        raise TableError(f"the headers are nested deeper than {_MOST_DEPTH} levels")
    (length,) = _U32.unpack_from(data, at)
    at += 4
    end = at + length
    items: list[Any] = []
    while at < end:
        item, at = _read_value(data, at, depth)
        items.append(item)
    return items, end
