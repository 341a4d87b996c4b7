"""Showing a workflow that was sent, from its result, with the states of its tasks."""

from __future__ import annotations

from typing import Any

from celeriac.result.drawing import Drawing
from celeriac.result.graph import line_of


def tree(result: Any) -> Drawing:
    """Return a drawing of a workflow that was sent, from its result and those before it, with the states of now.

    Raises `BackendError` kin.
    """
    drawing, ends = Drawing(), list[str]()
    for one in reversed(list(line_of(result))):
        ends = _draw(one, drawing, 0, ends)
    return drawing


def _draw(result: Any, drawing: Drawing, depth: int, after: list[str]) -> list[str]:
    members = getattr(result, "results", None)
    if members is None:
        name = f"{result.name} " if getattr(result, "name", None) else ""
        return [drawing.add(f"{name}{result.id}", depth, after=after, state=result.state)]
    drawing.note(f"group of {len(members)}  {result.id}", depth)
    return [end for one in members for end in _draw(one, drawing, depth + 1, after)]
