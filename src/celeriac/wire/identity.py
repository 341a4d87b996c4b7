"""Whose message it is, told without reading it whole: for log lines, and for messages that cannot be read."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from celeriac.wire.message import JSON, Message


class _Old(Struct):
    """What a body of protocol 1 has of it."""

    task: Any = None
    id: Any = None
    retries: Any = None


_NOTHING = _Old()
_read = msgspec.json.Decoder(_Old).decode


def peek_identity(message: Message) -> tuple[str | None, str | None]:
    """Return the task's name and id as far as the message tells them. Never raises."""
    name, task_id = message.headers.get("task"), message.headers.get("id")
    if name is None and message.content_type == JSON:
        old = _old(message)
        name, task_id = old.task, task_id if old is _NOTHING else old.id
    return name if is_text(name) else None, task_id if is_text(task_id) else None


def peek_retries(message: Message) -> int:
    """Return how often the task was tried before, 0 when the message does not tell. Never raises."""
    retries = message.headers.get("retries")
    if message.headers.get("task") is None and message.content_type == JSON:
        retries = _old(message).retries
    return retries if isinstance(retries, int) else 0


def is_text(value: Any) -> bool:
    """Tell whether a value is text that stores and logs can write.

    JSON's escapes can also hold half a character, and null characters, at which SQL's functions end a text.
    """
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _old(message: Message) -> _Old:
    try:
        return _read(message.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NOTHING
