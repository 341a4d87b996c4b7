"""Showing a workflow that was sent, from its result, with the states of its tasks."""

from __future__ import annotations

from typing import Any

from celeriac.result.drawing import Drawing
from celeriac.result.gathering import look
from celeriac.result.graph import box_of, handles_of, line_of


def tree(result: Any) -> Drawing:
    """Return a drawing of a workflow that was sent, from its result and those before it, with the states of now.

    What has ended is read in one trip. Raises `BackendError` kin.
    """
    line = list(line_of(result))
    look(handle for one in line for handle in handles_of(one))
    drawing, ends = Drawing(), list[str]()
    for one in reversed(line):
        ends = _draw(one, drawing, 0, ends)
    return drawing


def _draw(result: Any, drawing: Drawing, depth: int, after: list[str]) -> list[str]:
    label, state = box_of(result)
    members = getattr(result, "results", None)
    if members is None:
        return [drawing.add(label, depth, after=after, state=state)]
    drawing.note(label, depth)
    return [end for one in members for end in _draw(one, drawing, depth + 1, after)]
