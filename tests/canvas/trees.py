"""Random workflows."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from tests.canvas.interpreter import Chain, Chord, Group, Task


@st.composite
def tasks(draw: Any, depth: int) -> Task:
    kind = draw(st.sampled_from(["ok"] * 6 + ["fail", "flaky", "immutable"] + (["replace"] if depth > 0 else [])))
    return Task(
        label="?",
        kind=kind,
        times=draw(st.integers(1, 2)) if kind == "flaky" else 0,
        by=draw(trees(depth - 1)) if kind == "replace" else None,
        link="?" if kind != "replace" and draw(st.integers(0, 4)) == 0 else None,
        errback="?" if kind != "replace" and draw(st.integers(0, 4)) == 0 else None,
    )


def chains(depth: int) -> st.SearchStrategy[Chain]:
    return st.builds(lambda steps: Chain(tuple(steps)), st.lists(trees(depth - 1), min_size=1, max_size=4))


def groups(depth: int, least: int = 0) -> st.SearchStrategy[Group]:
    return st.builds(lambda members: Group(tuple(members)), st.lists(trees(depth - 1), min_size=least, max_size=5))


def chords(depth: int) -> st.SearchStrategy[Chord]:
    return st.builds(Chord, groups(depth), bodies(depth - 1))


def bodies(depth: int) -> st.SearchStrategy[Any]:
    """The body of a chord: what begins with a task."""
    first = tasks(0)
    if depth < 1:
        return first
    return first | st.builds(lambda one, rest: Chain((one, *rest)), first, st.lists(trees(depth - 1), max_size=3))


def trees(depth: int) -> st.SearchStrategy[Any]:
    """A workflow of at most this depth."""
    if depth < 1:
        return tasks(0)
    return st.deferred(lambda: tasks(depth) | chains(depth) | groups(depth) | chords(depth))


def workflows() -> st.SearchStrategy[Any]:
    """A workflow that can be sent, with something to run in it."""
    return st.deferred(lambda: trees(3)).filter(lambda tree: not is_empty(tree) and is_sound(tree))


def labelled(tree: Any, prefix: str) -> Any:
    """Return the tree with a label of its own in each task, callback and error callback."""
    numbers = itertools.count()
    return _labelled(tree, lambda: f"{prefix}{next(numbers)}")


def _labelled(tree: Any, label: Any) -> Any:
    if isinstance(tree, Chain):
        return Chain(tuple(_labelled(step, label) for step in tree.steps))
    if isinstance(tree, Group):
        return Group(tuple(_labelled(member, label) for member in tree.members))
    if isinstance(tree, Chord):
        return Chord(_labelled(tree.header, label), _labelled(tree.body, label))
    return Task(
        label(),
        tree.kind,
        tree.times,
        None if tree.by is None else _labelled(tree.by, label),
        None if tree.link is None else label(),
        None if tree.errback is None else label(),
    )


def is_empty(tree: Any) -> bool:
    """Tell whether there is nothing to run in it."""
    if isinstance(tree, Chain):
        return all(map(is_empty, tree.steps))
    return isinstance(tree, Group) and all(map(is_empty, tree.members))


def is_sound(tree: Any) -> bool:
    """Tell whether it is a workflow that can be sent: nothing replaces itself with nothing."""
    if isinstance(tree, Chain):
        return all(map(is_sound, tree.steps))
    if isinstance(tree, Group):
        return all(map(is_sound, tree.members))
    if isinstance(tree, Chord):
        return is_sound(tree.header) and is_sound(tree.body)
    return tree.by is None or (not is_empty(tree.by) and is_sound(tree.by))
