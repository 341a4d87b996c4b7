"""Serializers, by the name that settings use and by the content type that messages carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from celeriac.exceptions import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from celeriac.wire import json
from celeriac.wire.libraries import library
from celeriac.wire.message import BINARY, JSON, UTF8

PICKLE = "application/x-python-serialize"
YAML = "application/x-yaml"
MSGPACK = "application/x-msgpack"
RAW = "application/data"


class Content(Struct, frozen=True):
    """A value as bytes, and what says how to read them."""

    body: bytes
    content_type: str
    content_encoding: str


class _Serializer(Struct, frozen=True):
    name: str
    dumps: Callable[[Any], bytes | str]
    loads: Callable[[bytes], Any]
    content_type: str
    content_encoding: str
    is_plain_json: bool
    """Whether it is `celeriac.wire.json`, and not what a user registered."""


_by_name: dict[str, _Serializer] = {}
_by_type: dict[str, _Serializer] = {}


def dumps(value: Any, serializer: str) -> Content:
    """Write `value` with the named serializer.

    Raises EncodeError, naming the type and the place of what cannot be written, and ImproperlyConfigured for an unknown
    serializer or one whose library is missing.
    """
    if serializer == "raw":  # the one whose encoding depends on the value
        return _dump_raw(value)
    entry = _by_name.get(serializer) or _serializer(serializer)
    try:
        body = entry.dumps(value)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise unwritable(value, serializer) from error
    return Content(body.encode() if isinstance(body, str) else body, entry.content_type, entry.content_encoding)


def loads(body: bytes, content_type: str, content_encoding: str, *, accept: frozenset[str]) -> Any:
    """Read bytes of a content type that is in `accept` (see `accepted`).

    Raises ContentDisallowed for any other type, before one byte was looked at; DecodeError for broken bytes;
    ImproperlyConfigured when the library is missing.
    """
    if content_type not in accept:
        raise refusal(content_type, accept)
    try:
        if content_type == RAW:
            return body if content_encoding == BINARY else body.decode(content_encoding)
        entry = _by_type.get(content_type)
        if entry is None:
            raise ImproperlyConfigured(f"no serializer is registered for content type {content_type!r}")
        return entry.loads(body)
    except ImproperlyConfigured:
        raise
    except Exception as error:  # whatever a decoder throws at hostile bytes, RecursionError and MemoryError included
        raise DecodeError(f"broken {content_type} of {len(body)} bytes: {_reason(error)}") from error


def refusal(content_type: str, accept: frozenset[str]) -> ContentDisallowed:
    """Return the error for a content type that is not in `accept`."""
    return ContentDisallowed(
        f"content type {content_type!r} is not accepted here; accept_content allows {_names(accept)}"
    )


def accepted(names: Iterable[str]) -> frozenset[str]:
    """Turn names of serializers, or content types, into content types. Raises ImproperlyConfigured for unknown ones."""
    types = set()
    for name in names:
        if name in _by_name:
            types.add(_by_name[name].content_type)
        elif name in _by_type:
            types.add(name)
        else:
            raise ImproperlyConfigured(f"unknown serializer {name!r}; known are {', '.join(sorted(_by_name))}")
    return frozenset(types)


def register(
    name: str,
    dumps: Callable[[Any], bytes | str],
    loads: Callable[[bytes], Any],
    content_type: str,
    content_encoding: str = UTF8,
) -> None:
    """Add a serializer, or replace one. Call it when modules are imported, in every process that reads or writes."""
    is_plain_json = dumps is json.dumps and content_type == JSON
    entry = _Serializer(name, dumps, loads, content_type, content_encoding, is_plain_json)
    _by_name[name] = entry
    _by_type[content_type] = entry


def unregister(name: str) -> None:
    """Remove a serializer: it neither writes nor reads any more. Raises ImproperlyConfigured for an unknown one."""
    entry = _serializer(name)
    del _by_name[name]
    if _by_type.get(entry.content_type) is entry:
        del _by_type[entry.content_type]


def type_of(serializer: str) -> tuple[str, str]:
    """Return content type and content encoding of the named serializer. Raises ImproperlyConfigured."""
    entry = _serializer(serializer)
    return entry.content_type, entry.content_encoding


def is_plain_json(serializer: str) -> bool:
    """Tell whether this name stands for `celeriac.wire.json`, and not for what a user registered."""
    entry = _by_name.get(serializer)
    return entry is not None and entry.is_plain_json


def serializer_of(content_type: str) -> str | None:
    """Return the name of the serializer behind a content type, None for an unknown one."""
    entry = _by_type.get(content_type)
    return None if entry is None else entry.name


def unwritable(value: Any, serializer: str, *, place: str = "") -> EncodeError:
    """Return the error that names the innermost part of `value` that `serializer` cannot write.

    `place` is what `value` is called in the message, such as ``argument 0``.
    """
    path, culprit = _innermost(value, serializer)
    where = ".".join(filter(None, (place, *path)))
    kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}".removeprefix("builtins.")
    at = f" at {where}" if where else ""
    reason = json.why_unreadable(culprit) if is_plain_json(serializer) else ""
    why = f" ({reason})" if reason else ""
    return EncodeError(f"cannot write {kind}{at} as {serializer}{why}; convert it, or use another serializer")


def is_writable(value: Any, serializer: str) -> bool:
    """Tell whether the named serializer can write `value`."""
    entry = _serializer(serializer)
    try:
        entry.dumps(value)
    except Exception:  # noqa: BLE001  the answer is the point, whatever the user's object throws
        return False
    return True


def _innermost(value: Any, serializer: str, depth: int = 64) -> tuple[list[str], Any]:
    if depth == 0:
        return [], value
    if isinstance(value, dict):
        parts: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return [], value
    for key, part in parts:
        if not is_writable(part, serializer):
            path, culprit = _innermost(part, serializer, depth - 1)
            return [str(key), *path], culprit
    return [], value


def _dump_raw(value: Any) -> Content:
    if isinstance(value, str):
        return Content(value.encode(), RAW, UTF8)
    if isinstance(value, bytes):
        return Content(value, RAW, BINARY)
    raise EncodeError(f"the raw serializer writes str or bytes, not {type(value).__qualname__}")


def _load_raw(body: bytes) -> bytes:
    return body


def _serializer(name: str) -> _Serializer:
    try:
        return _by_name[name]
    except KeyError:
        raise ImproperlyConfigured(f"unknown serializer {name!r}; known are {', '.join(sorted(_by_name))}") from None


def _names(types: frozenset[str]) -> str:
    return ", ".join(sorted(_by_type[kind].name if kind in _by_type else kind for kind in types)) or "nothing"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _dump_pickle(value: Any) -> bytes:
    from celeriac.wire import pickled  # noqa: PLC0415  ADR 0012

    return pickled.dumps(value)


def _load_pickle(body: bytes) -> Any:
    from celeriac.wire import pickled  # noqa: PLC0415  ADR 0012

    return pickled.loads(body)


def _dump_yaml(value: Any) -> str:
    text: str = library("yaml").safe_dump(value)
    return text


def _load_yaml(body: bytes) -> Any:
    return library("yaml").safe_load(body)


def _dump_msgpack(value: Any) -> bytes:
    body: bytes = library("msgpack").packb(value, use_bin_type=True)
    return body


def _load_msgpack(body: bytes) -> Any:
    return library("msgpack").unpackb(body, raw=False)


register("json", json.dumps, json.loads, JSON)
register("pickle", _dump_pickle, _load_pickle, PICKLE, BINARY)
register("yaml", _dump_yaml, _load_yaml, YAML)
register("msgpack", _dump_msgpack, _load_msgpack, MSGPACK, BINARY)
register("raw", lambda value: _dump_raw(value).body, _load_raw, RAW, BINARY)
