"""Showing a workflow: planned, from a signature; and under way, from its result with the states of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from celeriac import states
from celeriac.canvas.forms import normal
from celeriac.canvas.kinds import CHAIN, CHORD, GROUP, Raw, kind_of, members_of, plain

_COLOURS: Final = {
    states.SUCCESS: "#b7e1cd",
    states.FAILURE: "#f4c7c3",
    states.REVOKED: "#f4c7c3",
    states.STARTED: "#fce8b2",
}


class Box(Struct, frozen=True):
    """A task, or a group, of a drawing. `label` is what stands in it, `state` the task's."""

    key: str
    label: str
    state: str | None = None


class Drawing:
    """Tasks and what follows from what. `str` gives text; `mermaid` and `dot` give what those tools draw."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.arrows: list[tuple[str, str]] = []
        self._lines: list[str] = []

    def add(self, label: str, depth: int, *, after: list[str], state: str | None = None) -> str:
        """Add a box below the last one, which follows these; return its key."""
        key = f"n{len(self.boxes)}"
        self.boxes.append(Box(key, label, state))
        self.arrows += [(one, key) for one in after]
        self._lines.append(f"{'  ' * depth}{label}{'' if state is None else f'  {state}'}")
        return key

    def note(self, text: str, depth: int) -> None:
        """Add a line to the text alone."""
        self._lines.append(f"{'  ' * depth}{text}")

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def __rich__(self) -> str:
        """Return the text as rich prints it."""
        return str(self).replace("[", "\\[")

    def mermaid(self) -> str:
        """Return the source of a Mermaid flowchart."""
        boxes = [f'    {box.key}["{_quoted(_told(box))}"]' for box in self.boxes]
        arrows = [f"    {start} --> {end}" for start, end in self.arrows]
        colours = [
            f"    style {box.key} fill:{_COLOURS[box.state]}"
            for box in self.boxes
            if box.state and box.state in _COLOURS
        ]
        return "\n".join(["flowchart TD", *boxes, *arrows, *colours])

    def dot(self) -> str:
        """Return the source of a graph for Graphviz."""
        boxes = [f'    {box.key} [shape=box, label="{_quoted(_told(box))}"{_filled(box)}];' for box in self.boxes]
        arrows = [f"    {start} -> {end};" for start, end in self.arrows]
        return "\n".join(["digraph workflow {", *boxes, *arrows, "}"])


def draw(sig: Mapping[str, Any]) -> Drawing:
    """Return a drawing of what will be sent for a signature: its normal form, after Celery's upgrades."""
    drawing = Drawing()
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


def _told(box: Box) -> str:
    return box.label if box.state is None else f"{box.label}\n{box.state}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", "\\n")


def _filled(box: Box) -> str:
    return f', style=filled, fillcolor="{_COLOURS[box.state]}"' if box.state and box.state in _COLOURS else ""
