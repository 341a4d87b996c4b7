"""Signatures as plain mappings: the form in which they travel, and the words that its readers need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

Raw: TypeAlias = dict[str, Any]
"""A signature as JSON has it: task, args, kwargs, options, subtask_type, immutable. Celery's form."""

CHAIN: Final = "chain"
GROUP: Final = "group"
CHORD: Final = "chord"

ACCUMULATE: Final = "celery.accumulate"
MAP: Final = "celery.map"
STARMAP: Final = "celery.starmap"
CHUNKS: Final = "celery.chunks"
_NO_OPTIONS: Final[Mapping[str, Any]] = {}
_OF_ITEMS: Final = frozenset({MAP, STARMAP, CHUNKS})

SIGNATURES: Final = "signature, nor a list of such: write task.s(...), or a chain, group or chord of such"
"""What `each_of` says that workflows are made of."""
ITEMS: Final = "list of items: give one, or a generator"

PLACE: Final = ("chord", "group_id", "group_index")
"""The options that say which group the end of a signature counts for."""


def kind_of(sig: Mapping[str, Any]) -> str:
    """Return `CHAIN`, `GROUP`, `CHORD`, or ``""`` for what is one task."""
    kind = sig.get("subtask_type")
    return kind if kind in (CHAIN, GROUP, CHORD) else ""


def task(name: str, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Raw:
    """Return the signature of one task."""
    return _raw(name, None, dict(kwargs or {}), options, args=list(args))


def chain(steps: list[Raw], **options: Any) -> Raw:
    """Return the signature of a chain."""
    return _raw("celery.chain", CHAIN, {"tasks": steps}, options)


def group(members: list[Raw], **options: Any) -> Raw:
    """Return the signature of a group."""
    return _raw("celery.group", GROUP, {"tasks": members}, options)


def chord(header: Raw, body: Raw, **options: Any) -> Raw:
    """Return the signature of a chord."""
    return _raw("celery.chord", CHORD, {"kwargs": {}, "header": header, "body": body}, options)


def members_of(group: Mapping[str, Any]) -> Any:
    """Return the members of a group or the steps of a chain."""
    return group["kwargs"]["tasks"]


def derived_id(parent: str, *role: object) -> str:
    """Return the id, in a UUID's form, that what follows `parent` in this role has each time it is worked out."""
    import hashlib  # noqa: PLC0415  ADR 0012

    digits = hashlib.sha1("\0".join((parent, *map(str, role))).encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def member_id(group: str, index: int) -> str:
    """Return the id of a group's member that was not given one."""
    return derived_id(group, index)


def as_list(value: Any) -> list[Any]:
    """Return what an option holds that may be one signature, several, or None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


@contextmanager
def bounded_depth() -> Iterator[None]:
    """Have a workflow that is nested so deep that Python cannot walk through it be a ValueError that says so."""
    try:
        yield
    except RecursionError:
        raise ValueError(
            "The workflow is nested too deep: groups, chords and callbacks in one another are followed to a depth of"
            " some 100. Let a task send the rest (Task.replace), or write what follows as the steps of one chain."
        ) from None


def task_name(task: Any) -> str:
    """Return the name of a task. Raises TypeError for what is none."""
    name = getattr(task, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{task!r} is no task: give a task, its name, or the mapping of a signature.")
    return name


def stamp_names(options: Mapping[str, Any]) -> list[str]:
    """Return the names of the stamps in the options of a signature. Raises TypeError where they are no list of such."""
    names = options.get("stamped_headers") or ()
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(each, str) for each in names):
        raise TypeError(f"stamped_headers={names!r} must be a list of names.")
    return list(names)


def each_of(given: Any, wanted: str) -> Iterable[Any]:
    """Return what was given if it can be gone through, and is no text. Raises TypeError, naming what was `wanted`."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{given!r} is no {wanted}.")
    return given


def no_signature(given: Any) -> TypeError:
    """Return the error for something else where a signature belongs, most often a task without ``.s()``."""
    return TypeError(f"{given!r} is no signature: write task.s(...), or a chain, group or chord of such.")


def plain(sig: Mapping[str, Any]) -> Raw:
    """Return a copy of a signature, down to the last, in the form that travels.

    Arguments are the user's and are not copied. Raises TypeError for what is no signature.
    """
    if "task" not in _mapping(sig):
        raise no_signature(sig)
    kwargs = sig.get("kwargs") or {}
    kind = kind_of(sig)
    if kind in (CHAIN, GROUP):
        kwargs = {"tasks": [plain(one) for one in kwargs["tasks"]]}
    elif kind == CHORD:
        body = kwargs.get("body")
        kwargs = {
            "kwargs": dict(kwargs.get("kwargs") or {}),
            "header": plain(as_group(kwargs["header"])),
            "body": None if body is None else plain(body),
        }
    elif sig["task"] in _OF_ITEMS and isinstance(kwargs.get("task"), Mapping):
        kwargs = {**kwargs, "task": plain(kwargs["task"]), "it": list(kwargs["it"])}
    options = plain_options(sig.get("options") or _NO_OPTIONS)
    return _raw(sig["task"], sig.get("subtask_type"), dict(kwargs), options, list(sig.get("args") or ()), sig)


def _mapping(sig: Any) -> Any:
    return sig if isinstance(sig, Mapping) else ()


def as_group(header: Any) -> Mapping[str, Any]:
    """Return the header of a chord, which may be a list of members, as a group."""
    if isinstance(header, Mapping) and kind_of(header) == GROUP:
        return header
    return group([dict(header)] if isinstance(header, Mapping) else list(header))


def holds_chord(form: Mapping[str, Any]) -> bool:
    """Tell whether there is a chord in a workflow in its normal form, now or later; callbacks are left out."""
    kind = kind_of(form)
    return kind == CHORD or (kind != "" and any(map(holds_chord, members_of(form))))


def leaves(sig: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tasks in a signature, in reading order; callbacks are not among them."""
    kind = kind_of(sig)
    if kind in (CHAIN, GROUP):
        for one in members_of(sig):
            yield from leaves(one)
    elif kind == CHORD:
        yield from leaves(as_group(sig["kwargs"]["header"]))
        if sig["kwargs"].get("body") is not None:
            yield from leaves(sig["kwargs"]["body"])
    else:
        yield sig


def plain_options(options: Mapping[str, Any]) -> Raw:
    """Return a copy of options in the form that travels; None stands for one left out."""
    found = {name: value for name, value in options.items() if value is not None}
    for name in ("link", "link_error", "chain"):
        if name in found:
            found[name] = [plain(one) for one in as_list(found[name])]
    for name in ("chord", "on_end"):
        if name in found:
            found[name] = plain(found[name])
    for name in ("queue", "exchange"):
        if name in found and not isinstance(found[name], str):
            found[name] = _name_of(name, found[name])
    return found


def _name_of(option: str, place: Any) -> str:
    name = getattr(place, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{option}={place!r} must be a name, or an object that has one, not {type(place).__name__}.")
    return name


def _raw(  # noqa: PLR0913  the fields of a signature
    name: str,
    kind: str | None,
    kwargs: Raw,
    options: Raw,
    args: list[Any] | None = None,
    like: Mapping[str, Any] | None = None,
) -> Raw:
    return {
        "task": name,
        "args": [] if args is None else args,
        "kwargs": kwargs,
        "options": options,
        "subtask_type": kind,
        "immutable": bool(like and like.get("immutable")),
    }
