"""Running a workflow here and now: `Signature.apply`, and every call with ``task_always_eager``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac import states
from celeriac.canvas import forms
from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, Raw, kind_of, members_of
from celeriac.result.groups import GroupKeeper, GroupResult

_INSIDE = frozenset({"chain", "chord", "group_id", "group_index", "task_id", "root_id", "parent_id"})


def apply(form: Raw, args: list[Any], kwargs: dict[str, Any], tasks: Mapping[str, Any], *, keeper: GroupKeeper) -> Any:
    """Run a workflow in its normal form; return how it ended. The tasks must be known here."""
    kind = kind_of(form)
    if kind == CHAIN:
        return _apply_chain(form, args, kwargs, tasks, keeper)
    if kind == GROUP:
        members = [apply(one, args, kwargs, tasks, keeper=keeper) for one in members_of(form)]
        return GroupResult(form["options"]["task_id"], members, keeper=keeper)
    if kind == CHORD:
        fields = form["kwargs"]
        header = apply(fields["header"], [*args, *form["args"]], {**fields["kwargs"], **kwargs}, tasks, keeper=keeper)
        result = apply(fields["body"], [header.get(disable_sync_subtasks=False)], {}, tasks, keeper=keeper)
        _first_of(result).parent = header
        return result
    return _apply_task(form, args, kwargs, tasks, keeper)


def _apply_chain(
    form: Raw, args: list[Any], kwargs: dict[str, Any], tasks: Mapping[str, Any], keeper: GroupKeeper
) -> Any:
    result = None
    for step in members_of(form):
        found = apply(step, args, kwargs, tasks, keeper=keeper)
        _first_of(found).parent = result
        result = found
        if getattr(found, "state", states.SUCCESS) in (states.IGNORED, states.REJECTED):
            break
        if step is not members_of(form)[-1]:
            args, kwargs = [found.get(disable_sync_subtasks=False)], {}
    return result


def _apply_task(
    form: Raw, args: list[Any], kwargs: dict[str, Any], tasks: Mapping[str, Any], keeper: GroupKeeper
) -> Any:
    if not form["immutable"]:
        args, kwargs = [*args, *form["args"]], {**form["kwargs"], **kwargs}
    else:
        args, kwargs = form["args"], form["kwargs"]
    options = {name: value for name, value in form["options"].items() if name not in _INSIDE}
    callbacks, errbacks = options.pop("link", ()), options.pop("link_error", ())
    task = tasks[form["task"]]
    result = task.apply(args, kwargs, task_id=form["options"].get("task_id"), **options)
    if result.state == states.SUCCESS:
        for callback in callbacks:
            _follow(callback, [result.get(disable_sync_subtasks=False)], tasks, keeper)
    elif result.state == states.FAILURE:
        for errback in errbacks:
            _follow(errback, [result.id], tasks, keeper)
    return result


def _follow(sig: Raw, args: list[Any], tasks: Mapping[str, Any], keeper: GroupKeeper) -> None:
    form = forms.normal(sig)
    if form is not None:
        forms.name_all(form, lambda: "")
        apply(form, args, {}, tasks, keeper=keeper)


def _first_of(result: Any) -> Any:
    while result.parent is not None:
        result = result.parent
    return result
