"""Celeriac's messages as RabbitMQ keeps them, in Celery's form, and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from celeriac.drivers.rabbitmq.contents import Properties, read_properties, write_properties
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.wire.message import UTF8, Message, Unreadable

__all__ = ["CRASHES", "NAMES_OF_OURS", "TOKEN", "Read", "copied", "encoded", "read", "token_of"]

CRASHES: Final = "x-celeriac-crashes"
"""Header: how often a holder died that had begun to run what it knew to be doubtful."""
TOKEN: Final = "x-celeriac-token"  # noqa: S105  it opens nothing
"""Header: tells one copy of a message from others."""
NAMES_OF_OURS: Final = "x-celeriac-"

_SERVERS: Final = frozenset(
    {
        "x-acquired-count",
        "x-death",
        "x-delivery-count",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
        "x-stream-offset",
    }
)
"""Headers that the server adds, which say nothing of the task. They must not be sent again, either: by ``x-death`` the
server takes a message that waits a second time in a queue of the delays for one that goes in circles, and drops it."""

_IDENTITY: Final = ("task", "id")
_MOST_IDENTITY: Final = 500
"""Characters of what says which task it is, where there is no room for all headers."""

_PERSISTENT: Final = 2
_MOST_PRIORITY: Final = 255
_UNTYPED: Final = "application/data"


class Read(msgspec.Struct, frozen=True):
    """What was read of a message, and what its headers say of the way it went.

    `crashes` is our own count; `deliveries` is that of a quorum queue, how often it was delivered before.
    """

    message: Message | Unreadable
    priority: int | None
    crashes: int
    deliveries: int


def encoded(message: Message, *, priority: int | None, extra: dict[str, Any] | None = None) -> bytes:
    """Write properties and headers (see `contents.content_frames`). Raises `TableError` for what AMQP cannot carry.

    `extra` are headers of ours.
    """
    headers = message.headers if extra is None else {**message.headers, **extra}
    return write_properties(
        Properties(
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=headers,
            delivery_mode=_PERSISTENT,
            priority=None if priority is None else min(max(priority, 0), _MOST_PRIORITY),
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
        )
    )


def copied(header: bytes, *, extra: dict[str, Any], most: int | None = None) -> bytes:
    """Write the properties of a message that came, to send it once more; `extra` replaces headers of ours.

    One without a priority or a content type stays without. Where its headers are broken they are left out; where all
    together take more than `most` bytes those stay that say which task it is.
    """
    try:
        _, properties = read_properties(header)
    except TableError:
        properties = Properties()
    kept = {
        name: value
        for name, value in (properties.headers or {}).items()
        if name not in _SERVERS and not name.startswith(NAMES_OF_OURS)
    }
    headers = None if properties.headers is None and not extra else {**kept, **extra}
    copy = msgspec.structs.replace(properties, headers=headers, delivery_mode=_PERSISTENT, expiration=None)
    written = write_properties(copy)
    if most is None or len(written) <= most:
        return written
    identity = {name: str(kept[name])[:_MOST_IDENTITY] for name in _IDENTITY if name in kept}
    return write_properties(msgspec.structs.replace(copy, headers={**identity, **extra}))


def read(header: bytes, body: bytes) -> Read:
    """Read what came. A message that nobody can read, such as one without headers and content type, is `Unreadable`."""
    try:
        _, properties = read_properties(header)
    except TableError as error:
        return Read(Unreadable(body, str(error)), None, 0, 0)
    raw = properties.headers or {}
    headers = raw
    crashes = deliveries = 0
    if b"x-" in header:  # so far as a look can tell; nearly always nothing is
        crashes, deliveries = _count(raw.get(CRASHES)), _count(raw.get("x-delivery-count"))
        headers = {
            name: value for name, value in raw.items() if name not in _SERVERS and not name.startswith(NAMES_OF_OURS)
        }
    if properties.content_type is None and not headers:
        reason = "the message has neither headers nor a content type"
        return Read(Unreadable(body, reason), properties.priority, crashes, deliveries)
    message = Message(
        headers,
        body,
        properties.content_type or _UNTYPED,
        properties.content_encoding or UTF8,
        properties.correlation_id,
        properties.reply_to,
    )
    return Read(message, properties.priority, crashes, deliveries)


def token_of(header: bytes) -> str | None:
    """Return the token that was given to a copy."""
    try:
        _, properties = read_properties(header)
    except TableError:
        return None
    token = (properties.headers or {}).get(TOKEN)
    return token if isinstance(token, str) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
