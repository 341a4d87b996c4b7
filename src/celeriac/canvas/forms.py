"""The normal form of a workflow: Celery's rules of what becomes of what, applied once, before anything is sent.

In it a chain is flat and consists of tasks and chords; only its last step may be a group. A group is flat. Each member
of a chord's header ends in one task, so that it counts once. The body of a chord is a task, a chord, or a group; what
comes after it stands in the chain. All functions work on copies that `kinds.plain` has made, and change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from celeriac.canvas.kinds import (
    ACCUMULATE,
    CHAIN,
    CHORD,
    CHUNKS,
    GROUP,
    PLACE,
    STARMAP,
    Raw,
    as_list,
    chain,
    chord,
    group,
    kind_of,
    member_id,
    members_of,
    task,
)

_DELAYS: Final = frozenset({"countdown", "eta"})
_ENDS: Final = frozenset({"link", "link_error", "task_id", *PLACE})
"""Options that are not spread over the parts: they say what becomes of the whole."""


def normal(sig: Raw) -> Raw | None:
    """Return the normal form of a signature; None for one in which there is nothing to run."""
    kind = kind_of(sig)
    if kind and sig["options"].get("chain"):  # how what follows a chord's body travels
        rest = sig["options"].pop("chain")
        return normal(chain([sig, *reversed(rest)]))
    if kind == CHAIN:
        return _normal_chain(sig)
    if kind == GROUP:
        return _normal_group(sig)
    if kind == CHORD:
        return _normal_chord(sig)
    if sig["task"] == CHUNKS:
        return _normal_group(_in_chunks(sig))
    return sig


def link(sig: Raw, callback: Raw) -> None:
    """Let `callback` follow when the whole of `sig` has ended well; of a group, after its first member."""
    kind = kind_of(sig)
    if kind == CHAIN:
        link(members_of(sig)[-1], callback)
    elif kind == GROUP:
        link(members_of(sig)[0], {**callback, "immutable": True})
    elif kind == CHORD:
        link(sig["kwargs"]["body"], callback)
    else:
        _append(sig, "link", callback)


def link_error(sig: Raw, errback: Raw) -> None:
    """Let `errback` follow when a task of a chain or group fails, or the body of a chord, or a chord in its header."""
    kind = kind_of(sig)
    if kind in (CHAIN, GROUP):
        for one in members_of(sig):
            link_error(one, errback)
    elif kind == CHORD:
        for one in members_of(sig["kwargs"]["header"]):
            if kind_of(one) == CHORD:
                link_error(one, errback)
        link_error(sig["kwargs"]["body"], errback)
    else:
        _append(sig, "link_error", errback)


def attach(sig: Raw, **place: Any) -> None:
    """Say, in its last task, which chord and group the end of `sig` counts for (see `kinds.PLACE`)."""
    last_of(sig)["options"].update((name, value) for name, value in place.items() if value is not None)


def last_of(sig: Raw) -> Raw:
    """Return the task or group whose result is that of the whole."""
    while kind_of(sig) in (CHAIN, CHORD):
        sig = members_of(sig)[-1] if kind_of(sig) == CHAIN else sig["kwargs"]["body"]
    return sig


def spread(sig: Raw, options: Raw) -> None:
    """Apply options that were given for the whole: to the first step of a chain, to all of a group or a chord."""
    kind = kind_of(sig)
    if kind == CHAIN:
        spread(members_of(sig)[0], options)
    elif kind == GROUP:
        for one in members_of(sig):
            spread(one, options)
    elif kind == CHORD:
        spread(sig["kwargs"]["header"], options)
        spread(sig["kwargs"]["body"], {name: value for name, value in options.items() if name not in _DELAYS})
    else:
        sig["options"].update(options)


def name_all(sig: Raw, new_id: Callable[[], str], last_id: str | None = None) -> None:
    """Give an id to every task, group and header that has none; `last_id` to the last, whose result is the whole's."""
    kind = kind_of(sig)
    if kind == CHAIN:
        *first, last = members_of(sig)
        for one in first:
            name_all(one, new_id)
        name_all(last, new_id, last_id)
    elif kind == GROUP:
        _name(sig, new_id, last_id)
        for one in members_of(sig):
            name_all(one, new_id)
    elif kind == CHORD:
        header = sig["kwargs"]["header"]
        _name(header, new_id, None)
        for index, one in enumerate(members_of(header)):
            name_all(one, new_id, member_id(header["options"]["task_id"], index))
        name_all(sig["kwargs"]["body"], new_id, last_id)
    else:
        _name(sig, new_id, last_id)


def flat(members: Iterable[Raw]) -> list[Raw]:
    """Return the members of a group in their normal form, those of groups in it among them."""
    found: list[Raw] = []
    for one in map(normal, members):
        if one is None:
            continue
        found += members_of(one) if kind_of(one) == GROUP else [one]
    return found


def ends_in_one(sig: Raw) -> Raw:
    """Return a member of a header such that it ends in one task, whose value is that of the whole."""
    kind = kind_of(sig)
    if kind == CHAIN:
        *first, last = members_of(sig)
        return chain([*first, ends_in_one(last)], **sig["options"])
    if kind == CHORD:
        sig["kwargs"]["body"] = ends_in_one(sig["kwargs"]["body"])
    if kind != GROUP:
        return sig
    members = [ends_in_one(one) for one in members_of(sig)]
    return chord(group(members, **sig["options"]), task(ACCUMULATE, kwargs={"index": 0}))


def _is_empty_group(sig: Raw) -> bool:
    """Tell whether this is a group without members, which in a chain is nothing; alone it has the value []."""
    return kind_of(sig) == GROUP and sig["kwargs"]["tasks"] == []


def prepend(sig: Raw, args: list[Any]) -> None:
    """Put arguments before those of what starts, unless that is immutable."""
    kind = kind_of(sig)
    if kind == CHAIN:
        prepend(members_of(sig)[0], args)
    elif kind == GROUP:
        for one in members_of(sig):
            prepend(one, args)
    elif not sig["immutable"]:
        sig["args"] = [*args, *sig["args"]]


def _normal_chain(sig: Raw) -> Raw | None:
    steps: list[Raw] = []
    for one in map(normal, members_of(sig)):
        if one is not None:
            steps += members_of(one) if kind_of(one) == CHAIN else [one]
    steps = _upgraded([one for one in steps if not _is_empty_group(one)] or steps[:1])
    if not steps:
        return None
    if sig["immutable"]:
        _make_immutable(steps[0])
    elif sig["args"]:
        prepend(steps[0], sig["args"])
    return _with_options(_in_row(steps), sig["options"])


def _normal_group(sig: Raw) -> Raw:
    options = sig["options"]
    found = group(flat(members_of(sig)), **{name: options[name] for name in ("task_id", *PLACE) if name in options})
    for errback in as_list(options.get("link_error")):
        link_error(found, errback)
    if sig["args"]:
        prepend(found, sig["args"])
    spread(found, {name: value for name, value in options.items() if name not in _ENDS})
    return found


def _normal_chord(sig: Raw) -> Raw:
    kwargs = sig["kwargs"]
    if kwargs["body"] is None:
        raise ValueError("A chord needs a body: chord(header)(body), chord(header, body) or group | task.")
    header = _normal_group(kwargs["header"])
    header["kwargs"]["tasks"] = [ends_in_one(one) for one in members_of(header)]
    body = normal(kwargs["body"])
    if body is None:
        raise ValueError("The body of a chord is empty: give it a task.")
    body, *rest = members_of(body) if kind_of(body) == CHAIN else [body]
    found = chord(header, body)
    found["args"], found["immutable"], found["kwargs"]["kwargs"] = sig["args"], sig["immutable"], kwargs["kwargs"]
    return _with_options(_in_row(_upgraded([found, *rest])), sig["options"])


def _with_options(sig: Raw, options: Raw) -> Raw:
    """Apply the options of a chain or chord to its normal form."""
    for callback in as_list(options.get("link")):
        link(sig, callback)
    for errback in as_list(options.get("link_error")):
        link_error(sig, errback)
    attach(sig, **{name: options.get(name) for name in PLACE})
    if "task_id" in options and kind_of(sig) != "":
        last_of(sig)["options"].setdefault("task_id", options["task_id"])
    spread(sig, {name: value for name, value in options.items() if name not in _ENDS})
    return sig


def _upgraded(steps: Iterable[Raw]) -> list[Raw]:
    """Make a group and what follows it a chord, and let what follows the group in a chord's body join it there."""
    done: list[Raw] = []
    for step in steps:
        if done and kind_of(done[-1]) == GROUP:
            done += _joined(done.pop(), step)
        elif done and kind_of(done[-1]) == CHORD and kind_of(done[-1]["kwargs"]["body"]) == GROUP:
            kwargs = done[-1]["kwargs"]
            kwargs["body"], *rest = _upgraded([kwargs["body"], step])
            done += rest
        else:
            done.append(step)
    if done and kind_of(done[-1]) == GROUP:
        last = done.pop()
        done += _unrolled(last) if members_of(last) or done else [last]
    return done


def _joined(first: Raw, step: Raw) -> list[Raw]:
    alone = _unrolled(first)
    if not members_of(first):
        return [step]
    if alone != [first]:
        return _upgraded([*alone, step])
    members = [ends_in_one(one) for one in members_of(first)]
    body, *rest = _unrolled(step) if kind_of(step) == GROUP and members_of(step) else [step]
    return [chord(group(members, **first["options"]), body), *rest]


def _unrolled(sig: Raw) -> list[Raw]:
    """Return the steps that a group comes to in a chain: its only member, none, or itself."""
    members = members_of(sig)
    if len(members) > 1:
        return [sig]
    return [step for one in members for step in (members_of(one) if kind_of(one) == CHAIN else [one])]


def _in_row(steps: list[Raw]) -> Raw:
    return steps[0] if len(steps) == 1 else chain(steps)


def _make_immutable(sig: Raw) -> None:
    if kind_of(sig) == GROUP:
        for one in members_of(sig):
            _make_immutable(one)
    sig["immutable"] = True


def _in_chunks(sig: Raw) -> Raw:
    kwargs, size = sig["kwargs"], sig["kwargs"]["n"]
    items = kwargs["it"]
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    maps = [task(STARMAP, kwargs={"task": kwargs["task"], "it": part}) for part in parts]
    for one in maps:
        one["immutable"] = True
    return group(maps, **sig["options"])


def _append(sig: Raw, option: str, value: Raw) -> None:
    found = as_list(sig["options"].get(option))
    if value not in found:
        found.append(value)
    sig["options"][option] = found


def _name(sig: Raw, new_id: Callable[[], str], given: str | None) -> None:
    if not sig["options"].get("task_id"):
        sig["options"]["task_id"] = given or new_id()
