"""What followed from a task: the results of what it sent while it ran, of what those sent, and so on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, TextIO, cast

from celeriac.exceptions import IncompleteStream
from celeriac.result.drawing import Drawing
from celeriac.result.gathering import look


def descend(root: Any, *, intermediate: bool) -> Iterator[tuple[Any, Any]]:
    """Yield each result below `root` with that of who sent it, breadth first; begin with ``(None, root)``.

    One that has not ended is looked at when its successor is asked for. Then it raises `IncompleteStream`, unless
    `intermediate`: then what is below it is passed over. A result is followed once, however many sent it. The children
    of a result are read in one trip. Raises `BackendError` kin.
    """
    waiting = deque([(None, root)])
    followed = set()
    while waiting:
        parent, node = waiting.popleft()
        yield parent, node
        if node in followed:
            continue
        if node.ready():
            followed.add(node)
            children = node.children or []
            look(handle for child in children for handle in handles_of(child))
            waiting.extend((node, child) for child in children)
        elif not intermediate:
            raise IncompleteStream(
                f"{node!r} has not ended, so what it sends is not known: call get() first, use collect(), which waits,"
                " or pass intermediate=True to see what there is."
            )


def line_of(result: Any) -> Iterator[Any]:
    """Yield a result and those that led to it, the nearest first."""
    while result is not None:
        yield result
        result = result.parent


def told_line(result: Any) -> tuple[Any, Any]:
    """Return Celery's nested form of a result: ``((id, that of its parent), its members)``; None for no members."""
    told: Any = None
    for one in reversed(list(line_of(result))):
        members = getattr(one, "results", None)
        told = (one.id, told), None if members is None else [each.as_tuple() for each in members]
    return cast("tuple[Any, Any]", told)


def beginning(result: Any) -> list[Any]:
    """Return what the children of a sender are: of the results that lead to this one, the first, as in Celery.

    Each task has what follows it as its own child. The members of a chord do not know its body, so that the body stands
    beside the header; a stock worker leaves it out.
    """
    later = None
    while result.parent is not None:
        later, result = result, result.parent
    if later is None or not hasattr(result, "handles"):
        return [result]
    body = copy(later)
    body.parent = None  # it would be told twice, and may have thousands of members
    return [result, body]


class DependencyGraph:
    """Results, and which followed from which, as far as they were known when it was made.

    A mapping of each result to those that followed from it, in the order in which they were found. Made by
    `AsyncResult.build_graph`. Not to be changed by one thread while another reads it.
    """

    def __init__(self) -> None:
        self.adjacent: dict[Any, list[Any]] = {}

    def add_arc(self, result: Any) -> None:
        """Add a result, unless it is there."""
        self.adjacent.setdefault(result, [])

    def add_edge(self, before: Any, after: Any) -> None:
        """Say that one result followed from another; add those that are not there."""
        self.add_arc(before)
        self.add_arc(after)
        self.adjacent[before].append(after)

    def edges(self) -> Iterator[Any]:
        """Yield the results that something followed from, as in Celery."""
        return (result for result, after in self.adjacent.items() if after)

    def items(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield each result with those that followed from it."""
        return iter(self.adjacent.items())

    def topsort(self) -> list[Any]:
        """Return the results so that each stands after all that followed from it, as in Celery."""
        found: dict[Any, None] = {}
        for root in self.adjacent:
            path, seen = [(root, iter(self.adjacent[root]))], {root}
            while path:
                node, after = path[-1]
                below = next((one for one in after if one not in found and one not in seen), None)
                if below is None:
                    found.setdefault(node)
                    path.pop()
                else:
                    seen.add(below)
                    path.append((below, iter(self.adjacent[below])))
        return list(found)

    def drawing(self) -> Drawing:
        """Return a drawing with the states of now."""
        drawing = Drawing()
        keys: dict[Any, str] = {}
        for root in self.adjacent:
            waiting = [] if root in keys else [(root, 0, "")]
            while waiting:
                node, depth, above = waiting.pop()
                if node in keys:
                    drawing.arrows.append((above, keys[node]))
                    continue
                label, state = box_of(node)
                keys[node] = drawing.add(label, depth, after=[above] if above else [], state=state)
                waiting += [(one, depth + 1, keys[node]) for one in reversed(self.adjacent[node])]
        return drawing

    def dot(self) -> str:
        """Return the source of a graph for Graphviz."""
        return self.drawing().dot()

    def to_dot(self, fh: TextIO) -> None:
        """Write what `dot` returns to an open file, as in Celery."""
        print(self.dot(), file=fh)

    def mermaid(self) -> str:
        """Return the source of a Mermaid flowchart."""
        return self.drawing().mermaid()

    def __str__(self) -> str:
        return str(self.drawing())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.adjacent)

    def __getitem__(self, result: Any) -> list[Any]:
        return self.adjacent[result]

    def __len__(self) -> int:
        return len(self.adjacent)

    def __contains__(self, result: object) -> bool:
        return result in self.adjacent


def handles_of(result: Any) -> Sequence[Any]:
    """Return the handles of a group, or the result itself."""
    return result.handles() if hasattr(result, "handles") else (result,)


def box_of(result: Any) -> tuple[str, str | None]:
    """Return what stands in the box of a result, and its state; a group has none."""
    if hasattr(result, "handles"):
        return f"group of {len(result)}  {result.id}", None
    return f"{result.name}  {result.id}" if result.name else result.id, result.state
