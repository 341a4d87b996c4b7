"""From a workflow in its normal form to what has to be sent now; what comes later travels inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from celeriac.canvas.forms import attach, last_of, spread
from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, PLACE, Raw, chord, kind_of, members_of

_NOTHING: Final[Mapping[str, Any]] = {}
_OF_HEADER: Final = frozenset({"countdown", "eta", "parent_id"})
"""Given options that hold for a chord's header and not for its body."""


class Opening(Struct):
    """A chord that begins: it is made known before its members are sent, which follow. `size` is None for a while
    when the members come from a generator.
    """

    id: str
    size: int | None
    body: Raw


Launched: TypeAlias = Raw | Opening
"""A task to send, with all its options; or a chord to make known."""


def launch(
    sig: Raw,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
    *,
    given: Mapping[str, Any] = _NOTHING,
    tail: Sequence[Raw] = (),
) -> Iterator[Launched]:
    """Yield what starts a workflow: one task, the members of a group, or a chord and its members.

    `args` go before the arguments of what starts, `kwargs` among them, unless it is immutable. `given` are options
    that win over its own. `tail` is what follows when all of `sig` has ended, the last first, as it is sent. The ids
    have been given (`forms.name_all`).
    """
    kind = kind_of(sig)
    if kind == CHAIN:
        first, *rest = members_of(sig)
        yield from launch(first, args, kwargs, given=given, tail=[*tail, *reversed(rest)])
    elif kind == CHORD:
        yield from _launch_chord(sig, args, kwargs, given, tail)
    elif kind == GROUP and tail:
        *later, step = tail
        yield from launch(chord(sig, step), args, kwargs, given=given, tail=later)
    elif kind == GROUP:
        yield from launch_members(members_of(sig), args, kwargs, given=given, group_id=sig["options"]["task_id"])
    else:
        yield _task(sig, args, kwargs, given, tail)


def launch_members(  # noqa: PLR0913  what a group and a chord begin with
    members: Iterable[Raw],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] = _NOTHING,
    *,
    given: Mapping[str, Any] = _NOTHING,
    group_id: str,
    body: Raw | None = None,
) -> Iterator[Launched]:
    """Yield what starts the members of a group, or of the header of the chord that has this body."""
    for index, member in enumerate(members):
        if body is not None or not last_of(member)["options"].get("chord"):  # stock clients have said so already
            attach(member, chord=body, group_id=group_id, group_index=index)
        yield from launch(member, args, kwargs, given=given)


def _launch_chord(
    sig: Raw, args: Sequence[Any], kwargs: Mapping[str, Any], given: Mapping[str, Any], tail: Sequence[Raw]
) -> Iterator[Launched]:
    header, body, options = sig["kwargs"]["header"], sig["kwargs"]["body"], sig["options"]
    after = [*tail, *options.get("chain", ())]
    attach(body, **{name: options.get(name) for name in PLACE})
    if after and kind_of(body) == GROUP:
        body = chord(body, after.pop())
    options_of_body = {name: value for name, value in given.items() if name not in _OF_HEADER}
    spread(body, options_of_body)
    if after:
        body["options"]["chain"] = [*after, *body["options"].get("chain", ())]
    members, group_id = members_of(header), header["options"]["task_id"]
    if not members:
        yield from launch(body, ([],), given=given)
        return
    yield Opening(group_id, len(members), body)
    if sig["immutable"]:
        args, kwargs = (), _NOTHING
    args = [*args, *sig["args"]]
    kwargs = {**sig["kwargs"]["kwargs"], **kwargs}
    yield from launch_members(members, args, kwargs, given=given, group_id=group_id, body=body)


def _task(
    sig: Raw, args: Sequence[Any], kwargs: Mapping[str, Any], given: Mapping[str, Any], tail: Sequence[Raw]
) -> Raw:
    options = {**sig["options"], **given}
    if tail:
        own = options.get("chain")
        options["chain"] = [*tail, *own] if own else tail
    own_args, own_kwargs = sig["args"], sig["kwargs"]
    if not sig["immutable"]:
        own_args = [*args, *own_args] if args else own_args
        own_kwargs = {**own_kwargs, **kwargs} if kwargs else own_kwargs
    return {"task": sig["task"], "args": own_args, "kwargs": own_kwargs, "options": options}
