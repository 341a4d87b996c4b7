"""Whether a mapping that came as JSON has the shape of a signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from celeriac.canvas.kinds import CHAIN, CHORD, CHUNKS, GROUP, MAP, STARMAP, no_signature

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    CHAIN: ("tasks",),
    GROUP: ("tasks",),
    CHORD: ("header",),
    MAP: ("task", "it"),
    STARMAP: ("task", "it"),
    CHUNKS: ("task", "it", "n"),
}
"""What must be among the keyword arguments of a signature of each kind."""


def shaped(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a signature with all its fields, those that are missing empty. Raises TypeError, naming what is wrong."""
    if "task" not in found:
        raise no_signature(found)
    full = {**found, "args": _or(found.get("args"), ())}
    full["kwargs"], full["options"] = _or(found.get("kwargs"), {}), _or(found.get("options"), {})
    name = found["task"]
    if not isinstance(full["args"], list | tuple):
        raise _wrong(name, "args", full["args"], "a list")
    for field in ("kwargs", "options"):
        if not isinstance(full[field], Mapping):
            raise _wrong(name, field, full[field], "a mapping")
    _check_parts(name, _PARTS.get(str(found.get("subtask_type") or name), ()), full["kwargs"])
    return full


def _check_parts(name: Any, parts: Iterable[str], kwargs: Mapping[str, Any]) -> None:
    for part in parts:
        value = kwargs.get(part)
        if part == "tasks":
            if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
                raise _wrong(name, "tasks", value, "a list of signatures")
            if isinstance(value, list | tuple):
                _check_members(name, value)
        elif part == "header" and (isinstance(value, str) or not isinstance(value, Iterable)):
            raise _wrong(name, "header", value, "a group or a list of signatures")
        elif part == "it" and (isinstance(value, str) or not isinstance(value, Iterable)):
            raise _wrong(name, "it", value, "a list of items")
        elif part == "task" and not isinstance(value, Mapping):
            raise _wrong(name, "task", value, "a signature")
        elif part == "n" and (not isinstance(value, int) or value < 1):
            raise _wrong(name, "n", value, "a whole number from 1")
    if "header" in parts and not isinstance(_or(kwargs.get("body"), {}), Mapping):
        raise _wrong(name, "body", kwargs["body"], "a signature")


def _check_members(name: Any, members: Iterable[Any]) -> None:
    for one in members:
        if not isinstance(one, Mapping):
            raise _wrong(name, "tasks", members, f"a list of signatures, which {one!r} is not")


def _or(value: Any, other: Any) -> Any:
    return other if value is None else value


def _wrong(name: Any, field: str, value: Any, wanted: str) -> TypeError:
    return TypeError(f"Signature of {name}: {field}={value!r} must be {wanted}.")
