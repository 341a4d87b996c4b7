"""A message as one JSON document: the form that kombu's list-like transports keep, and ours.

The order of the keys is fixed, and part of the contract with the stores' scripts: ``properties`` comes first and holds
nothing but text of ours and ``priority``; ``headers`` comes last. The body is JSON text inside a JSON string, so its
quotes are escaped. The first unescaped ``"headers":{`` of a document is therefore the envelope's own, and so is the
first unescaped ``"priority":`` of one that was written with a priority.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct, field

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.wire import json
from celeriac.wire.message import BINARY, UTF8, Message

_Places: TypeAlias = "dict[str, _Places]"

_BASE64 = "base64"
_COMPRESSION = "compression"
_REDELIVERED = "redelivered"
_UNTYPED = "application/data"  # what kombu takes a missing content type for
_SCALARS = frozenset({str, int, bool, type(None)})


class Envelope(Struct, frozen=True, gc=False):
    """A message, and what its envelope says about the way it went.

    `redelivered` is True when a stock worker put the message back. `priority` is None when none was written.
    """

    message: Message
    priority: int | None
    redelivered: bool
    exchange: str
    routing_key: str


class _Address(Struct):
    exchange: str
    routing_key: str


class _Properties(Struct, omit_defaults=True):
    delivery_info: _Address
    delivery_tag: str
    priority: int | None = None
    body_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None


class _ReadAddress(Struct, gc=False):
    exchange: str | None = None
    routing_key: str | None = None
    redelivered: Any = None


class _ReadProperties(Struct, gc=False):
    delivery_info: _ReadAddress | None = None
    priority: int | None = None
    body_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None


class _ReadDocument(Struct, gc=False):
    properties: _ReadProperties
    body: Any
    headers: dict[str, Any] | None = None
    content_type: str | None = field(name="content-type", default=None)
    content_encoding: str | None = field(name="content-encoding", default=None)
    redelivered: Any = None


_write = msgspec.json.Encoder().encode
_parts = msgspec.json.Decoder(dict[str, Raw] | None).decode
_read = msgspec.json.Decoder(_ReadDocument).decode


def encode(message: Message, *, exchange: str, routing_key: str, priority: int | None, delivery_tag: str) -> bytes:
    """Write the message as a document that stock kombu reads, with no more in it than a reader needs.

    A body of UTF-8 text stays text; any other, and a compressed one, is written as base64. Raises EncodeError when the
    headers hold what JSON cannot.
    """
    body, body_encoding = _body_text(message)
    correlation_id, reply_to = message.correlation_id, message.reply_to
    # Ids differ from message to message, so a frame that has some is not kept.
    frame = _frame if correlation_id is None and reply_to is None else _frame.__wrapped__
    try:
        before, between = frame(
            exchange,
            routing_key,
            priority,
            body_encoding,
            correlation_id,
            reply_to,
            message.content_type,
            message.content_encoding,
        )
        tag = _write(delivery_tag)
    except UnicodeEncodeError as error:
        raise EncodeError(f"a property of the message is no valid text: {error}") from error
    return b"".join((before, tag, between, _write(body), b',"headers":', _headers(message.headers), b"}"))


def decode(raw: bytes) -> Envelope:
    """Read a document that kombu or `encode` wrote. Raises DecodeError, with the reason, for anything else."""
    try:
        document = _read(raw) if raw.find(json.TAG) < 0 else _slowly_read(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        document = _slowly_read(raw)  # which takes NaN and the like, and finds the reason for what is broken
    properties, body = document.properties, document.body
    headers = document.headers or {}
    address = properties.delivery_info or _NOWHERE
    redelivered = document.redelivered is True or address.redelivered is True
    if headers.get(_REDELIVERED) is True:
        redelivered = True
        del headers[_REDELIVERED]
    is_plain = type(body) is str and properties.body_encoding is None and body.isascii()
    message = Message(
        headers,
        body.encode() if is_plain else _body_bytes(body, properties.body_encoding),
        document.content_type or _UNTYPED,
        document.content_encoding or UTF8,
        properties.correlation_id or None,
        properties.reply_to or None,
    )
    return Envelope(message, properties.priority, redelivered, address.exchange or "", address.routing_key or "")


def unmark(raw: bytes) -> bytes:
    """Return the document without the marks of a redelivery, all else as it was; what is no document stays whole."""
    if b'"redelivered"' not in raw:
        return raw
    try:
        return _unmark(raw, _MARKED)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw


def _body_text(message: Message) -> tuple[str, str | None]:
    # A stock reader unpacks a compressed body before it turns text into bytes, so that one must be base64.
    if message.content_encoding != BINARY and _COMPRESSION not in message.headers:
        try:
            return message.body.decode("utf-8"), None
        except UnicodeDecodeError:
            pass
    return b2a_base64(message.body, newline=False).decode("ascii"), _BASE64


@lru_cache(maxsize=1000)
def _frame(  # noqa: PLR0913  what a document says beside tag, body and headers
    exchange: str,
    routing_key: str,
    priority: int | None,
    body_encoding: str | None,
    correlation_id: str | None,
    reply_to: str | None,
    content_type: str,
    content_encoding: str,
) -> tuple[bytes, bytes]:
    """Return what stands before the tag, and between it and the body: the same for all messages of a kind."""
    address = _Address(exchange, routing_key)
    before = b'{"delivery_info":' + _write(address) + b',"delivery_tag":'
    properties = _write(_Properties(address, "", priority, body_encoding, correlation_id, reply_to))
    after = properties.removeprefix(before + b'""')
    kind, encoding = _write(content_type), _write(content_encoding)
    return b'{"properties":' + before, after + b',"content-type":%b,"content-encoding":%b,"body":' % (kind, encoding)


def _headers(headers: dict[str, Any]) -> bytes:
    try:
        if _SCALARS.issuperset(map(type, headers.values())):
            return _write(headers)
    except UnicodeEncodeError:
        pass  # lone surrogates, which only escapes can carry
    try:
        return json.dumps(headers)
    except Exception as error:
        raise EncodeError(f"cannot write the headers as JSON: {error}") from error


def _slowly_read(raw: bytes) -> _ReadDocument:
    try:
        return msgspec.convert(json.loads(raw), _ReadDocument)
    except Exception as error:  # what hostile text makes the readers throw, RecursionError included
        raise DecodeError(f"{len(raw)} bytes that are no message: {type(error).__name__}: {error}"[:400]) from error


def _body_bytes(body: Any, encoding: str | None) -> bytes:
    if isinstance(body, bytes):  # kombu's tagged bytes, from a message that a stock client put back
        return body
    if not isinstance(body, str):
        raise DecodeError(f"the body of the message is {type(body).__name__}, not text")
    if encoding == _BASE64:
        try:
            return a2b_base64(body, strict_mode=True)
        except ValueError as error:
            raise DecodeError(f"the body of the message is no base64: {error}") from error
    if encoding is not None and encoding.lower() != UTF8:
        raise DecodeError(f"unknown body_encoding {encoding!r}")
    try:
        return body.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DecodeError(f"the body of the message is no valid text: {error}") from error


def _unmark(raw: bytes | Raw, inner: _Places) -> bytes:
    parts = _parts(raw)
    if parts is None:
        return bytes(raw)
    parts.pop(_REDELIVERED, None)
    for name, places in inner.items():
        if name in parts:
            parts[name] = Raw(_unmark(parts[name], places))
    return _write(parts)


_NOWHERE = _ReadAddress()
_MARKED: _Places = {"properties": {"delivery_info": {}}, "headers": {}}
