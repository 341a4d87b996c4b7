"""A task call to a message and back.

Written is Celery's protocol 2, slim: a header or an embedded key is left out when its absence means the same to every
reader, stock workers included. Read are protocol 2, protocol 1 (the body is one mapping) and the mix of both, with any
key missing that can be, but with each that is there of the right kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from celeriac.exceptions import DecodeError, EncodeError, InvalidTaskError
from celeriac.wire import compression as compressors
from celeriac.wire import content, json, moments
from celeriac.wire.chained import Chained, read_chained
from celeriac.wire.headers import KNOWN, Headers, full_headers, slim_headers
from celeriac.wire.identity import is_text, peek_identity
from celeriac.wire.message import JSON, UTF8, Message


class TaskCall(Struct, frozen=True):
    """A call of a task, as its message carries it.

    `args` is a list or tuple and `kwargs` a mapping with str keys. `eta` and `expires` are aware and in UTC. `chain`
    holds the steps that remain, the next one last; it, `callbacks` and `errbacks` are lists of signatures as mappings,
    `chord` is one. The steps may be read one by one (`json.Unread`). `time_limit` (hard) and `soft_time_limit` are in
    seconds. `root_id` is the first call of the workflow, None for `id` itself; a call that was read always has it.
    `headers` holds the user's own headers and all that are unknown; one with a name of Celery's is not written.
    """

    name: str
    id: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    retries: int = 0
    eta: datetime | None = None
    expires: datetime | None = None
    group_id: str | None = None
    group_index: int | None = None
    chord: dict[str, Any] | None = None
    chain: Sequence[dict[str, Any]] | None = None
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    root_id: str | None = None
    parent_id: str | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    shadow: str | None = None
    replaced_task_nesting: int = 0
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    reply_to: str | None = None
    headers: dict[str, Any] = {}


class _Embed(Struct):
    """The third part of a body."""

    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: Sequence[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


_K = TypeVar("_K", Headers, _Embed)

_FEW = 4
"""Headers that calls of ours have of which nothing special is said: lang, task, id and perhaps ignore_result."""
_TEXT = frozenset({str})
_SEQUENCES = frozenset({list, tuple})
_NO_EMBED = _Embed()
_NO_LIMITS = (None, None)


def encode(call: TaskCall, *, serializer: str = "json", compression: str | None = None, full: bool = False) -> Message:
    """Write the call as a message.

    `full` writes every header and key that Celery writes, for readers that want them. In the slim form
    ``ignore_result`` None is left out: the worker then goes by its task's own setting. Raises EncodeError, naming
    the argument, when the serializer cannot write one, and ImproperlyConfigured for an unknown serializer or
    compression.
    """
    headers = full_headers(call) if full else slim_headers(call)
    embed = _embed(call, serializer)
    if full:
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **embed}
    kwargs = call.kwargs if type(call.kwargs) is dict else dict(call.kwargs)
    args = call.args if type(call.args) in _SEQUENCES else list(call.args)
    try:
        written = content.dumps([args, kwargs, embed], serializer)
    except EncodeError as error:
        raise _unwritable(call, serializer, error) from error.__cause__
    body = written.body
    if compression is not None:
        body, headers["compression"] = compressors.compress(body, compression)
    correlation_id = call.id if full or call.reply_to is not None else None
    return Message(headers, body, written.content_type, written.content_encoding, correlation_id, call.reply_to)


def encode_plain(
    template: Mapping[str, Any],
    task_id: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    reply_to: str | None = None,
) -> Message | None:
    """Write one of many calls that differ in id and arguments alone: what `encode` would, in a third of its time.

    `template` is the `slim_headers` of such a call. None when the arguments take more than plain JSON: `encode`
    writes them, or says why it cannot.
    """
    body = json.dumps_call(args, kwargs)
    if body is None:
        return None
    headers = {**template, "id": task_id}
    return Message(headers, body) if reply_to is None else Message(headers, body, JSON, UTF8, task_id, reply_to)


def decode(message: Message, *, accept: frozenset[str], max_body: int | None = None) -> TaskCall:
    """Read a call from a message.

    `accept` holds content types (see `content.accepted`); `max_body` is the most bytes of a body, unpacked. Raises
    ContentDisallowed for other types, DecodeError for a body that is too large or broken, InvalidTaskError, naming
    the field, for what is no task. No code of the sender's runs unless pickle is accepted.
    """
    body = _payload(message, accept, max_body)
    headers = message.headers
    if type(body) is list and len(headers) <= _FEW and (call := _plain(message, body)) is not None:
        return call
    embed: _Embed | Chained
    if isinstance(body, Chained):
        args, kwargs, embed = body.args, body.kwargs, body
        known = _convert(headers, Headers, message)
    elif isinstance(body, list | tuple):
        if not 2 <= len(body) <= 3:
            raise InvalidTaskError(f"{_label(message)}: the body has {len(body)} parts instead of args, kwargs, embed")
        args, kwargs = body[0], body[1]
        known = _convert(headers, Headers, message)
        embed = _convert(body[2], _Embed, message) if len(body) == 3 and body[2] else _NO_EMBED
    elif isinstance(body, dict):
        args, kwargs = body.get("args", ()), body.get("kwargs", {})
        known = _convert(_merged_headers(headers, body), Headers, message)
        embed = _convert(body, _Embed, message)
    else:
        raise InvalidTaskError(f"{_label(message)}: the body is {type(body).__name__}, not a list of args and kwargs")
    return _call(message, known, embed, args, kwargs)


def _embed(call: TaskCall, serializer: str) -> dict[str, Any]:
    embed: dict[str, Any] = {}
    if call.callbacks is not None:
        embed["callbacks"] = call.callbacks
    if call.errbacks is not None:
        embed["errbacks"] = call.errbacks
    if isinstance(call.chain, json.Unread) and serializer == "json":
        embed["chain"] = json.Plain(call.chain.raw)
    elif call.chain is not None:
        embed["chain"] = list(call.chain)
    if call.chord is not None:
        embed["chord"] = call.chord
    return embed


def _unwritable(call: TaskCall, serializer: str, error: EncodeError) -> EncodeError:
    named = [(f"argument {position}", value) for position, value in enumerate(call.args)]
    named += [(f"keyword argument {name}", value) for name, value in call.kwargs.items()]
    for place, value in named:
        if not content.is_writable(value, serializer):
            found = content.unwritable(value, serializer, place=place)
            return EncodeError(f"task {call.name}[{call.id}]: {found}")
    return EncodeError(f"task {call.name}[{call.id}]: {error}")


def _payload(message: Message, accept: frozenset[str], max_body: int | None) -> Any:
    """Return the body as it is read."""
    body = message.body
    mime = message.headers.get("compression")
    if mime:
        if message.content_type not in accept:  # refused before a byte of it is unpacked
            raise content.refusal(message.content_type, accept)
        if not isinstance(mime, str):
            raise InvalidTaskError(f"{_label(message)}: compression is not text")
        body = compressors.decompress(body, mime, limit=max_body)
    if max_body is not None and len(body) > max_body:
        raise DecodeError(f"{_label(message)}: the body of {len(body)} bytes is larger than the limit of {max_body}")
    if message.content_type == JSON and JSON in accept and content.is_plain_json("json"):
        plain = read_chained(body) or json.loads_plain(body)
        if plain is not None:
            return plain
    return content.loads(body, message.content_type, message.content_encoding, accept=accept)


def _merged_headers(headers: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in body.items() if key in KNOWN}
    if body.get("taskset") is not None:
        merged["group"] = body["taskset"]
    merged.update((key, value) for key, value in headers.items() if value is not None)
    return merged


def _convert(values: Any, kind: type[_K], message: Message) -> _K:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = f"{path.rstrip('`')}: " if path else ""
        raise InvalidTaskError(f"{_label(message)}: {field}{reason}") from error


def _plain(message: Message, body: list[Any]) -> TaskCall | None:
    """Read what most messages are, with a third of the steps; None where there is more to it, or something wrong."""
    headers = message.headers
    name, task_id, ignores = headers.get("task"), headers.get("id"), headers.get("ignore_result")
    if len(body) != 3 or body[2] or type(name) is not str or type(task_id) is not str or not (name and task_id):
        return None
    if len(headers) != (_FEW - 1 if ignores is None else _FEW) or "lang" not in headers:
        return None  # there are others
    args, kwargs = body[0], body[1]
    if type(args) is not list or type(kwargs) is not dict or (kwargs and not _TEXT.issuperset(map(type, kwargs))):
        return None
    if not (name.isprintable() and task_id.isprintable() and (ignores is None or type(ignores) is bool)):
        return None
    return TaskCall(
        name, task_id, args, kwargs, root_id=task_id, ignore_result=ignores, reply_to=message.reply_to, headers={}
    )


def _call(message: Message, known: Headers, embed: _Embed | Chained, args: Any, kwargs: Any) -> TaskCall:
    if not isinstance(args, list | tuple):
        raise InvalidTaskError(f"{_label(message)}: args: expected a list, got {type(args).__name__}")
    if not isinstance(kwargs, dict):
        raise InvalidTaskError(f"{_label(message)}: kwargs: expected a mapping, got {type(kwargs).__name__}")
    if kwargs and not all(isinstance(key, str) for key in kwargs):
        raise InvalidTaskError(f"{_label(message)}: kwargs: a name is not text")
    if not (known.id.isprintable() and known.task.isprintable()):
        _check_text(message, id=known.id, task=known.task)
    hard, soft = known.timelimit or _NO_LIMITS
    return TaskCall(
        known.task,
        known.id,
        args,
        kwargs,
        known.retries or 0,
        None if known.eta is None else _moment("eta", known.eta, message),
        None if known.expires is None else _moment("expires", known.expires, message),
        known.group,
        known.group_index,
        embed.chord,
        embed.chain,
        embed.callbacks,
        embed.errbacks,
        known.root_id or known.id,
        known.parent_id,
        None if hard is None else _limit(hard, message),
        None if soft is None else _limit(soft, message),
        known.argsrepr,
        known.kwargsrepr,
        known.origin,
        known.ignore_result,
        known.shadow,
        known.replaced_task_nesting or 0,
        known.stamped_headers or None,
        known.stamps or None,
        message.reply_to,
        {} if message.headers.keys() <= KNOWN else _own_headers(message.headers, known),
    )


def _check_text(message: Message, **fields: str) -> None:
    for field, value in fields.items():
        if not is_text(value):
            raise InvalidTaskError(f"{_label(message)}: {field}: {value!a} is no valid text")


def _own_headers(headers: dict[str, Any], known: Headers) -> dict[str, Any]:
    stamps = known.stamps or {}
    return {key: value for key, value in headers.items() if key not in KNOWN and key not in stamps}


def _moment(field: str, value: Any, message: Message) -> datetime | None:
    try:
        return moments.parse(value)
    except ValueError as error:
        raise InvalidTaskError(f"{_label(message)}: {field}: {error}") from error


def _limit(seconds: float, message: Message) -> float:
    if not isfinite(seconds):
        raise InvalidTaskError(f"{_label(message)}: timelimit: {seconds} is no number of seconds")
    return seconds


def _label(message: Message) -> str:
    name, task_id = peek_identity(message)
    return f"task {name or '?'}[{task_id or '?'}]"
