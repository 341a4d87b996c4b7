"""The headers of a task's message: what Celery defines, and how they are written, in full and slim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from celeriac.wire.tasks import TaskCall

_REPR_LENGTH = 1024  # Celery's argsrepr_maxsize

_Text = Annotated[str, Meta(min_length=1)]


class Headers(Struct):
    """The headers that Celery defines, and the kinds they must be of."""

    task: _Text
    id: _Text
    lang: Any = None
    meth: Any = None
    shadow: str | None = None
    eta: Any = None
    expires: Any = None
    group: str | None = None
    group_index: int | None = None
    retries: int | None = None
    timelimit: tuple[float | None, float | None] | None = None
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    compression: Any = None


KNOWN = frozenset(Headers.__struct_fields__)


def slim_headers(call: TaskCall) -> dict[str, Any]:
    """Return only the headers whose absence would mean something else."""
    headers: dict[str, Any] = {"lang": "py", "task": call.name, "id": call.id}
    if call.retries:
        headers["retries"] = call.retries
    if call.eta is not None:
        headers["eta"] = call.eta.isoformat()
    if call.expires is not None:
        headers["expires"] = call.expires.isoformat()
    if call.group_id is not None:
        headers["group"] = call.group_id
    if call.group_index is not None:
        headers["group_index"] = call.group_index
    if call.root_id is not None and call.root_id != call.id:
        headers["root_id"] = call.root_id
    if call.parent_id is not None:
        headers["parent_id"] = call.parent_id
    _add_particulars(headers, call)
    if call.headers:
        headers |= {key: value for key, value in call.headers.items() if key not in KNOWN}
    return headers


def _add_particulars(headers: dict[str, Any], call: TaskCall) -> None:
    if call.time_limit is not None or call.soft_time_limit is not None:
        headers["timelimit"] = [call.time_limit, call.soft_time_limit]
    if call.ignore_result is not None:
        headers["ignore_result"] = call.ignore_result
    if call.shadow is not None:
        headers["shadow"] = call.shadow
    if call.replaced_task_nesting:
        headers["replaced_task_nesting"] = call.replaced_task_nesting
    if call.argsrepr is not None:
        headers["argsrepr"] = call.argsrepr
    if call.kwargsrepr is not None:
        headers["kwargsrepr"] = call.kwargsrepr
    if call.origin is not None:
        headers["origin"] = call.origin
    if call.stamped_headers:
        headers["stamped_headers"] = call.stamped_headers
        headers["stamps"] = call.stamps or {}


def full_headers(call: TaskCall) -> dict[str, Any]:
    """Return every header that Celery writes."""
    return {
        **{key: value for key, value in call.headers.items() if key not in KNOWN},
        "lang": "py",
        "task": call.name,
        "id": call.id,
        "shadow": call.shadow,
        "eta": call.eta and call.eta.isoformat(),
        "expires": call.expires and call.expires.isoformat(),
        "group": call.group_id,
        "group_index": call.group_index,
        "retries": call.retries,
        "timelimit": [call.time_limit, call.soft_time_limit],
        "root_id": call.root_id or call.id,
        "parent_id": call.parent_id,
        "argsrepr": short_repr(tuple(call.args)) if call.argsrepr is None else call.argsrepr,
        "kwargsrepr": short_repr(dict(call.kwargs)) if call.kwargsrepr is None else call.kwargsrepr,
        "origin": call.origin,
        "ignore_result": bool(call.ignore_result),
        "replaced_task_nesting": call.replaced_task_nesting,
        "stamped_headers": call.stamped_headers,
        "stamps": call.stamps or {},
    }


def short_repr(value: Any) -> str:
    """Return the repr of a value, cut to the length that Celery allows. Never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  the user's objects may throw anything; the call itself is sound
        return f"<no repr: {type(error).__name__}>"
    return text if len(text) <= _REPR_LENGTH else text[: _REPR_LENGTH - 3] + "..."
