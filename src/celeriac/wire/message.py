"""The message: what a producer hands to a store and a worker gets back, apart from any store's own form."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

JSON = "application/json"
UTF8 = "utf-8"
BINARY = "binary"


class Message(Struct, frozen=True, gc=False):
    """Headers, a body of bytes, and what says how to read the body.

    `headers` are the application's, at one level, as Celery writes them (``task``, ``id``, ``retries`` ... plus
    the user's own); they must be JSON values. `body` is the serialized, perhaps compressed, payload.
    `reply_to` and `correlation_id` are AMQP's properties of these names.
    """

    headers: dict[str, Any]
    body: bytes
    content_type: str = JSON
    content_encoding: str = UTF8
    correlation_id: str | None = None
    reply_to: str | None = None


class Unreadable(Struct, frozen=True):
    """What a driver delivers in place of a `Message` when the bytes in the store are not one."""

    raw: bytes
    reason: str
