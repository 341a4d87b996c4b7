"""The methods of AMQP 0-9-1 that are used here, and frames: bytes to values and back. No I/O.

A method is named as in the standard, ``queue.declare``. Its arguments are written by one letter each: ``b`` an octet,
``h`` 16 bits, ``l`` 32, ``q`` 64, ``s`` short text, ``S`` long text or bytes, ``T`` a table, ``t`` one bit; bits that
follow each other share an octet.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from celeriac.drivers.rabbitmq.tables import TableError, read_table, write_table

__all__ = [
    "BODY",
    "FRAME_END",
    "HEADER",
    "HEARTBEAT",
    "HEARTBEAT_FRAME",
    "METHOD",
    "Method",
    "method_frame",
    "read_method",
]

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
FRAME_END: Final = b"\xce"
HEARTBEAT_FRAME: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_FRAME: Final = struct.Struct(">BHI")
_IDS: Final = struct.Struct(">HH")

_ARGUMENTS: Final[dict[str, tuple[int, int, str]]] = {
    "connection.start": (10, 10, "bbTSS"),
    "connection.start-ok": (10, 11, "TsSs"),
    "connection.tune": (10, 30, "hlh"),
    "connection.tune-ok": (10, 31, "hlh"),
    "connection.open": (10, 40, "sst"),
    "connection.open-ok": (10, 41, "s"),
    "connection.close": (10, 50, "hshh"),
    "connection.close-ok": (10, 51, ""),
    "connection.blocked": (10, 60, "s"),
    "connection.unblocked": (10, 61, ""),
    "channel.open": (20, 10, "s"),
    "channel.open-ok": (20, 11, "S"),
    "channel.flow": (20, 20, "t"),
    "channel.flow-ok": (20, 21, "t"),
    "channel.close": (20, 40, "hshh"),
    "channel.close-ok": (20, 41, ""),
    "exchange.declare": (40, 10, "hsstttttT"),
    "exchange.declare-ok": (40, 11, ""),
    "exchange.bind": (40, 30, "hssstT"),
    "exchange.bind-ok": (40, 31, ""),
    "queue.declare": (50, 10, "hstttttT"),
    "queue.declare-ok": (50, 11, "sll"),
    "queue.bind": (50, 20, "hssstT"),
    "queue.bind-ok": (50, 21, ""),
    "queue.purge": (50, 30, "hst"),
    "queue.purge-ok": (50, 31, "l"),
    "queue.delete": (50, 40, "hsttt"),
    "queue.delete-ok": (50, 41, "l"),
    "basic.qos": (60, 10, "lht"),
    "basic.qos-ok": (60, 11, ""),
    "basic.consume": (60, 20, "hssttttT"),
    "basic.consume-ok": (60, 21, "s"),
    "basic.cancel": (60, 30, "st"),
    "basic.cancel-ok": (60, 31, "s"),
    "basic.publish": (60, 40, "hsstt"),
    "basic.return": (60, 50, "hsss"),
    "basic.deliver": (60, 60, "sqtss"),
    "basic.get": (60, 70, "hst"),
    "basic.get-ok": (60, 71, "qtssl"),
    "basic.get-empty": (60, 72, "s"),
    "basic.ack": (60, 80, "qt"),
    "basic.nack": (60, 120, "qtt"),
    "confirm.select": (85, 10, "t"),
    "confirm.select-ok": (85, 11, ""),
}
_BY_IDS: Final = {ids[0] << 16 | ids[1]: (name, ids[2]) for name, ids in _ARGUMENTS.items()}
_FIXED: Final = {
    "b": struct.Struct(">B"),
    "h": struct.Struct(">H"),
    "l": struct.Struct(">I"),
    "q": struct.Struct(">Q"),
}


class Method(Struct, frozen=True):
    """A method with its arguments in the standard's order; the reserved ones are among them."""

    name: str
    arguments: tuple[Any, ...]


def method_frame(channel: int, name: str, *arguments: Any) -> bytes:
    """Write a method as a frame. Raises `TableError` for a table or a name that cannot be written."""
    class_id, method_id, kinds = _ARGUMENTS[name]
    payload = _IDS.pack(class_id, method_id) + _written(kinds, arguments)
    return b"%b%b\xce" % (_FRAME.pack(METHOD, channel, len(payload)), payload)


def read_method(payload: bytes) -> Method:
    """Read the payload of a method's frame. Raises `TableError` for what is none, or one that nobody expects."""
    try:
        class_id, method_id = _IDS.unpack_from(payload)
        found = _BY_IDS.get(class_id << 16 | method_id)
        if found is None:
            raise TableError(f"an unknown method, {class_id}.{method_id}, was sent")
        return Method(found[0], _read(found[1], payload))
    except (struct.error, IndexError) as error:
        raise TableError(f"a method's arguments are cut short: {error}") from error


def _written(kinds: str, arguments: Sequence[Any]) -> bytes:
    parts: list[bytes] = []
    bits, count = 0, 0
    for kind, value in zip(kinds, arguments, strict=True):
        if kind == "t":
            bits |= bool(value) << count
            count += 1
            continue
        if count:
            parts.append(bytes([bits]))
            bits, count = 0, 0
        parts.append(_written_one(kind, value))
    if count:
        parts.append(bytes([bits]))
    return b"".join(parts)


def _written_one(kind: str, value: Any) -> bytes:
    if kind == "s":
        text: bytes = value.encode()
        if len(text) > 255:
            raise TableError(f"{value[:40]!r}... has {len(text)} bytes, and AMQP allows 255")
        return bytes([len(text)]) + text
    if kind == "S":
        data: bytes = value if isinstance(value, bytes) else value.encode()
        return _FIXED["l"].pack(len(data)) + data
    if kind == "T":
        return write_table(value)
    return _FIXED[kind].pack(value)


def _read(kinds: str, payload: bytes) -> tuple[Any, ...]:
    values: list[Any] = []
    at, bit = 4, 0
    for kind in kinds:
        if kind == "t":
            values.append(bool(payload[at] >> bit & 1))
            bit += 1
            continue
        if bit:
            at, bit = at + 1, 0
        if kind == "s":
            begin = at + 1
            at = begin + payload[at]
            values.append(payload[begin:at].decode("utf-8", "backslashreplace"))
        elif kind == "S":
            (size,) = _FIXED["l"].unpack_from(payload, at)
            values.append(payload[at + 4 : at + 4 + size])
            at += 4 + size
        elif kind == "T":
            table, at = read_table(payload, at)
            values.append(table)
        else:
            values.append(_FIXED[kind].unpack_from(payload, at)[0])
            at += _FIXED[kind].size
    return tuple(values)
