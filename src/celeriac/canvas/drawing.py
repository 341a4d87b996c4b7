"""Showing a workflow: planned, from a signature; and under way, from its result with the states of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from celeriac.canvas.forms import normal
from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, Raw, bounded_depth, kind_of, members_of, plain
from celeriac.result.drawing import Drawing


def draw(sig: Mapping[str, Any]) -> Drawing:
    """Return a drawing of what will be sent for a signature: its normal form, after Celery's upgrades."""
    drawing = Drawing()
    with bounded_depth():
        form = normal(plain(sig))
        if form is not None:
            _draw_form(form, drawing, 0, [])
    return drawing


def tree(result: Any) -> Drawing:
    """Return a drawing of a workflow that was sent, from its result and those before it, with the states of now."""
    drawing = Drawing()
    before: list[Any] = []
    while result is not None:
        before.append(result)
        result = result.parent
    ends: list[str] = []
    for one in reversed(before):
        ends = _draw_result(one, drawing, 0, ends)
    return drawing


def _draw_form(form: Raw, drawing: Drawing, depth: int, after: list[str]) -> list[str]:
    kind = kind_of(form)
    if kind == CHAIN:
        for step in members_of(form):
            after = _draw_form(step, drawing, depth, after)
        return after
    if kind == CHORD:
        ends = _draw_group(form["kwargs"]["header"], drawing, depth, after, "chord")
        return _draw_form(form["kwargs"]["body"], drawing, depth, ends)
    if kind == GROUP:
        return _draw_group(form, drawing, depth, after, "group")
    key = drawing.add(_call(form), depth, after=after)
    for name, label in (("link", "then"), ("link_error", "on error")):
        for callback in form["options"].get(name, ()):
            drawing.add(f"{label}: {_call(callback)}", depth + 1, after=[key])
    return [key]


def _draw_group(form: Raw, drawing: Drawing, depth: int, after: list[str], title: str) -> list[str]:
    members = members_of(form)
    drawing.note(f"{title} of {len(members)}", depth)
    return _each(members, lambda one: _draw_form(one, drawing, depth + 1, after))


def _draw_result(result: Any, drawing: Drawing, depth: int, after: list[str]) -> list[str]:
    members = getattr(result, "results", None)
    if members is None:
        name = f"{result.name} " if getattr(result, "name", None) else ""
        return [drawing.add(f"{name}{result.id}", depth, after=after, state=result.state)]
    drawing.note(f"group of {len(members)}  {result.id}", depth)
    return _each(members, lambda one: _draw_result(one, drawing, depth + 1, after))


def _each(members: list[Any], one: Callable[[Any], list[str]]) -> list[str]:
    ends: list[str] = []
    for member in members:
        ends += one(member)
    return ends


def _call(form: Raw) -> str:
    given: Iterator[str] = (repr(arg) for arg in form["args"])
    named = (f"{name}={value!r}" for name, value in form["kwargs"].items())
    text = f"{form['task']}({', '.join((*given, *named))})"
    return text if len(text) <= 80 else text[:77] + "..."
