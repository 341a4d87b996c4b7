"""Showing a workflow as it will be sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    return [end for one in members for end in _draw_form(one, drawing, depth + 1, after)]


def _call(form: Raw) -> str:
    given: Iterator[str] = (repr(arg) for arg in form["args"])
    named = (f"{name}={value!r}" for name, value in form["kwargs"].items())
    text = f"{form['task']}({', '.join((*given, *named))})"
    return text if len(text) <= 80 else text[:77] + "..."
