"""Messages as AMQP carries them: a method, a header with properties, and a body in pieces. No I/O."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct, structs

from celeriac.drivers.rabbitmq.methods import BODY, HEADER, METHOD
from celeriac.drivers.rabbitmq.tables import TableError, read_table, write_table

__all__ = [
    "NO_PROPERTIES",
    "Properties",
    "body_size",
    "content_frames",
    "properties_up_to_id",
    "publish_method",
    "read_properties",
    "write_properties",
    "written_short",
]

_FRAME: Final = struct.Struct(">BHI")
_HEADER: Final = struct.Struct(">HHQH")
_U64: Final = struct.Struct(">Q")
_PUBLISH: Final = b"\x00\x3c\x00\x28\x00\x00"
_FRAME_OVERHEAD: Final = 8

# One bit for each property, the first the highest.
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_CORRELATION_ID, _REPLY_TO, _EXPIRATION = 0x0400, 0x0200, 0x0100


class Properties(Struct, frozen=True):
    """What a message says of itself beside its body. None where it does not say it; `expiration` is milliseconds."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None


NO_PROPERTIES: Final = Properties()


@lru_cache(256)
def publish_method(exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """Write the payload of ``basic.publish``. Raises `TableError` for a name of more than 255 bytes."""
    return b"%b%b%b%b" % (
        _PUBLISH,
        written_short(exchange),
        written_short(routing_key),
        b"\x01" if mandatory else b"\x00",
    )


def content_frames(channel: int, method: bytes, properties: bytes, body: bytes, frame_max: int) -> list[bytes]:
    """Return the bytes of a message's frames, in pieces. `properties` is what `write_properties` wrote."""
    frames = [
        _FRAME.pack(METHOD, channel, len(method)) + method + b"\xce",
        _FRAME.pack(HEADER, channel, 12 + len(properties)) + b"\x00\x3c\x00\x00" + _U64.pack(len(body)),
        properties,
        b"\xce",
    ]
    most = frame_max - _FRAME_OVERHEAD
    if len(body) <= most:
        if body:
            frames += _FRAME.pack(BODY, channel, len(body)), body, b"\xce"
        return frames
    for start in range(0, len(body), most):
        piece = body[start : start + most]
        frames += _FRAME.pack(BODY, channel, len(piece)), piece, b"\xce"
    return frames


def properties_up_to_id(properties: Properties) -> bytes:
    """Write what stands before the correlation id, which is to follow (see `written_short`) as the last value."""
    return write_properties(structs.replace(properties, correlation_id="", reply_to=None, expiration=None))[:-1]


def write_properties(properties: Properties) -> bytes:
    """Write flags and values. Raises `TableError`."""
    flags, parts = 0, []
    if properties.content_type is not None:
        flags |= _CONTENT_TYPE
        parts.append(written_short(properties.content_type))
    if properties.content_encoding is not None:
        flags |= _CONTENT_ENCODING
        parts.append(written_short(properties.content_encoding))
    if properties.headers is not None:
        flags |= _HEADERS
        parts.append(write_table(properties.headers))
    if properties.delivery_mode is not None:
        flags |= _DELIVERY_MODE
        parts.append(bytes([properties.delivery_mode]))
    if properties.priority is not None:
        flags |= _PRIORITY
        parts.append(bytes([properties.priority]))
    if properties.correlation_id is not None:
        flags |= _CORRELATION_ID
        parts.append(written_short(properties.correlation_id))
    if properties.reply_to is not None:
        flags |= _REPLY_TO
        parts.append(written_short(properties.reply_to))
    if properties.expiration is not None:
        flags |= _EXPIRATION
        parts.append(written_short(properties.expiration))
    return b"".join((flags.to_bytes(2, "big"), *parts))


def read_properties(payload: bytes) -> tuple[int, Properties]:
    """Read the payload of a header's frame: the size of the body that follows, and the properties.

    Raises `TableError` where they are broken.
    """
    try:
        _, _, size, flags = _HEADER.unpack_from(payload)
        return size, _read_properties(payload, flags)
    except (struct.error, IndexError) as error:
        raise TableError(f"the properties are cut short: {error}") from error


def body_size(payload: bytes) -> int:
    """Return the size of the body that follows a header."""
    size: int = _U64.unpack_from(payload, 4)[0]
    return size


def _read_properties(payload: bytes, flags: int) -> Properties:
    at = 14
    content_type = content_encoding = correlation_id = reply_to = expiration = None
    headers = delivery_mode = priority = None
    if flags & _CONTENT_TYPE:
        content_type, at = _read_short(payload, at)
    if flags & _CONTENT_ENCODING:
        content_encoding, at = _read_short(payload, at)
    if flags & _HEADERS:
        headers, at = read_table(payload, at)
    if flags & _DELIVERY_MODE:
        delivery_mode, at = payload[at], at + 1
    if flags & _PRIORITY:
        priority, at = payload[at], at + 1
    if flags & _CORRELATION_ID:
        correlation_id, at = _read_short(payload, at)
    if flags & _REPLY_TO:
        reply_to, at = _read_short(payload, at)
    if flags & _EXPIRATION:
        expiration, at = _read_short(payload, at)
    return Properties(
        content_type, content_encoding, headers, delivery_mode, priority, correlation_id, reply_to, expiration
    )


def written_short(text: str) -> bytes:
    """Write a short text: its length in one byte, and it. Raises `TableError` for more than 255 bytes."""
    data = text.encode()
    if len(data) > 255:
        raise TableError(f"{text[:40]!r}... has {len(data)} bytes, and AMQP allows 255")
    return bytes([len(data)]) + data


def _read_short(payload: bytes, at: int) -> tuple[str, int]:
    begin = at + 1
    end = begin + payload[at]
    return payload[begin:end].decode("utf-8", "backslashreplace"), end
