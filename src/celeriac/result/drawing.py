"""A drawing of tasks and of what follows from what: as text, for Mermaid, for Graphviz."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from celeriac import states

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


def _told(box: Box) -> str:
    return box.label if box.state is None else f"{box.label}\n{box.state}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", "\\n")


def _filled(box: Box) -> str:
    return f', style=filled, fillcolor="{_COLOURS[box.state]}"' if box.state and box.state in _COLOURS else ""
