"""The state of a task as result stores keep it, in Celery's shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from celeriac import states
from celeriac.exceptions import DecodeError, EncodeError, RemoteError
from celeriac.wire import compression, content, errors, json, moments
from celeriac.wire.message import JSON

_COMPRESSED = b"\x00celery-compressed\x00"
_MAX_COMPRESSED = 1 << 30  # bytes a compressed result may unpack to
_OWN = "celeriac."


class TaskResult(Struct, frozen=True):
    """A task's state. `result` is its value, in `states.EXCEPTION_STATES` an exception.

    `children` are Celery's tuples: ``[[id, parent], null]`` for a task, ``[[id, parent], [child, ...]]`` for a group.
    `date_done` is aware and in UTC, None until the state is ready. The fields from `name` on are there only when the
    worker stores extended results.
    """

    task_id: str
    state: str = field(name="status")
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done: datetime | None = None
    group_id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    args: Any = None
    kwargs: Any = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


class _Meta(Struct):
    """What a stored result must look like."""

    status: str
    task_id: str
    result: Any = None
    traceback: str | None = None
    children: list[Any] | None = None
    date_done: Any = None
    group_id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    args: Any = None
    kwargs: Any = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    stamped_headers: list[str] | None = None


class _Stored(Struct, gc=False):
    """A stored result without a group, a parent and what `extended` adds, in the order in which stock writes it."""

    status: str
    result: Any
    traceback: str | None
    children: list[Any] | None
    date_done: str | None
    task_id: str


class _Status(Struct):
    status: str


_peek_status = msgspec.json.Decoder(_Status).decode
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(TaskResult).decode


def encode(result: TaskResult, *, serializer: str = "json", extended: bool = False) -> bytes:
    """Write the result. Raises EncodeError, naming the task and the place, for a value that cannot be written."""
    value = result.result
    if result.state in states.EXCEPTION_STATES and isinstance(value, BaseException):
        value = _exception(value, serializer)
    done = None if result.date_done is None else moments.written(result.date_done)
    if serializer == "json" and not extended and result.group_id is None and result.parent_id is None:
        stored = _Stored(result.state, value, result.traceback, result.children, done, result.task_id)
        if (type(value) in json.SCALARS and not result.children) or json.is_simple((value, result.children)):
            try:
                return _write(stored)
            except UnicodeEncodeError:
                pass  # a lone surrogate, which the full writer escapes
    meta: dict[str, Any] = {
        "status": result.state,
        "result": value,
        "traceback": result.traceback,
        "children": result.children,
        "date_done": done,
    }
    if result.group_id is not None:
        meta["group_id"] = result.group_id
    if result.parent_id is not None:
        meta["parent_id"] = result.parent_id
    if extended:
        meta |= _extended(result)
    meta["task_id"] = result.task_id
    try:
        return content.dumps(meta, serializer).body
    except EncodeError as error:
        task = f"{result.name}[{result.task_id}]" if result.name else result.task_id
        raise EncodeError(f"result of task {task}: {error}") from error.__cause__


def decode(payload: bytes, *, serializer: str = "json", accept: frozenset[str]) -> TaskResult:
    """Read a stored result, compressed or not. Raises DecodeError, or ContentDisallowed for a type not in `accept`."""
    plain = _plain(payload, serializer, accept)
    if plain is not None:
        return plain
    try:
        raw = _load(payload, serializer, accept)
        meta = msgspec.convert(raw, _Meta)
        date_done = moments.parse(meta.date_done)
    except ValueError as error:  # msgspec's ValidationError is one
        raise DecodeError(f"not a stored result: {error}") from error
    value = meta.result
    if meta.status in states.EXCEPTION_STATES and value is not None:
        value = errors.load(value) if isinstance(value, Mapping | BaseException) else RemoteError(value)
    stamped = meta.stamped_headers
    return TaskResult(
        meta.task_id,
        meta.status,
        value,
        meta.traceback,
        meta.children,
        date_done,
        meta.group_id,
        meta.parent_id,
        meta.name,
        meta.args,
        meta.kwargs,
        meta.worker,
        meta.retries,
        meta.queue,
        stamped,
        None if stamped is None else {name: raw[name] for name in stamped if name in raw},
    )


def _plain(payload: bytes, serializer: str, accept: frozenset[str]) -> TaskResult | None:
    """Read in one go what most results are: JSON, without tags, stamps and exceptions; None for others."""
    if serializer != "json" or JSON not in accept or payload.startswith(_COMPRESSED) or payload.find(json.TAG) >= 0:
        return None
    try:
        result = _read(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # the full reader takes NaN and the like, and has the reason for what is broken
    done = result.date_done
    is_whole = result.stamped_headers is None and result.stamps is None and (done is None or done.tzinfo is UTC)
    return result if is_whole and result.state not in states.EXCEPTION_STATES else None


def state_of(payload: bytes, *, serializer: str = "json", accept: frozenset[str] | None = None) -> str:
    """Return the state in a stored result; of JSON nothing else is built. Raises what `decode` raises."""
    if serializer == "json" and not payload.startswith(_COMPRESSED):
        try:
            return _peek_status(payload).status
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # the full reader takes NaN and the like, and has the reason for what is broken
    raw = _load(payload, serializer, content.accepted([serializer]) if accept is None else accept)
    state = raw.get("status") if isinstance(raw, dict) else None
    if not isinstance(state, str):
        raise DecodeError("not a stored result: it has no status")
    return state


def _extended(result: TaskResult) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": result.name,
        "args": result.args,
        "kwargs": result.kwargs,
        "worker": result.worker,
        "retries": result.retries,
        "queue": result.queue,
    }
    if result.stamped_headers is not None:
        stamps = result.stamps or {}
        meta["stamped_headers"] = result.stamped_headers
        meta |= {name: stamps[name] for name in result.stamped_headers if name in stamps}
    return meta


def _exception(exc: BaseException, serializer: str) -> Any:
    """Return what stands for the exception: with pickle itself, where a stock reader can load it."""
    if serializer != "pickle":
        return errors.dump(exc, serializer=serializer)
    from celeriac.wire import pickled  # noqa: PLC0415  ADR 0012

    if type(exc).__module__.startswith(_OWN) or not pickled.survives(exc):
        return errors.dump(exc, serializer=serializer)
    return exc


def _load(payload: bytes, serializer: str, accept: frozenset[str]) -> Any:
    content_type, content_encoding = content.type_of(serializer)
    if content_type not in accept:
        raise content.refusal(content_type, accept)
    if payload.startswith(_COMPRESSED):
        mime, _, payload = payload[len(_COMPRESSED) :].partition(b"\x00")
        payload = compression.decompress(payload, mime.decode("latin-1"), limit=_MAX_COMPRESSED)
    return content.loads(payload, content_type, content_encoding, accept=accept)
