"""Groups and the parts of chords, in Celery's form."""

from __future__ import annotations

from typing import Any

from celeriac import states
from celeriac.exceptions import DecodeError
from celeriac.wire import content, errors, json


def encode(told: Any) -> bytes:
    """Write what a group consists of, as ``((id, parent), [member, ...])``."""
    return json.dumps({"result": told})


def decode(payload: bytes) -> Any:
    """Read what `encode`, or stock Celery, wrote. Raises DecodeError."""
    try:
        return json.loads(payload)["result"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DecodeError(f"not a saved group: {error}") from error


def encode_part(task_id: str, state: str, value: Any, *, serializer: str) -> bytes:
    """Write a member's end: ``[1, id, state, value]``, an exception as results have it. Raises EncodeError."""
    if isinstance(value, BaseException) and state in states.EXCEPTION_STATES:
        value = errors.dump(value, serializer=serializer)
    return content.dumps([1, task_id, state, value], serializer).body


def decode_part(payload: bytes, *, serializer: str, accept: frozenset[str]) -> tuple[str, str, Any]:
    """Read a member's end: its id, its state, and its value or exception. Raises DecodeError and ContentDisallowed."""
    content_type, encoding = content.type_of(serializer)
    try:
        _, task_id, state, value = content.loads(payload, content_type, encoding, accept=accept)
    except (ValueError, TypeError) as error:
        raise DecodeError(f"not a part of a chord: {error}") from error
    if state in states.EXCEPTION_STATES and not isinstance(value, BaseException):
        value = errors.load(value)
    return task_id, state, value
