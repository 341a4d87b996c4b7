"""Random workflows by a seed, for runs that take too long to be made simpler."""

from __future__ import annotations

import random
from typing import Any

from tests.canvas.interpreter import Chain, Chord, Group, Task
from tests.canvas.trees import is_empty, is_sound

_KINDS = ("ok",) * 6 + ("fail", "flaky", "immutable")


def random_workflow(chance: random.Random, *, depth: int = 3) -> Any:
    """Return a workflow that can be sent, with something to run in it; see `tests.canvas.trees`."""
    while True:
        tree = _tree(chance, depth)
        if not is_empty(tree) and is_sound(tree):
            return tree


def _tree(chance: random.Random, depth: int) -> Any:
    kind = chance.choice(("task", "chain", "group", "chord")) if depth > 0 else "task"
    if kind == "task":
        return _task(chance, depth)
    if kind == "chain":
        return Chain(tuple(_tree(chance, depth - 1) for _ in range(chance.randint(1, 4))))
    members = Group(tuple(_tree(chance, depth - 1) for _ in range(chance.randint(0, 5))))
    if kind == "group":
        return members
    body: Any = _task(chance, 0)
    if depth > 1 and chance.random() < 0.5:
        body = Chain((body, *(_tree(chance, depth - 2) for _ in range(chance.randint(0, 3)))))
    return Chord(members, body)


def _task(chance: random.Random, depth: int) -> Task:
    kind = chance.choice((*_KINDS, "replace") if depth > 0 else _KINDS)
    has_more = kind != "replace"
    return Task(
        label="?",
        kind=kind,
        times=chance.randint(1, 2) if kind == "flaky" else 0,
        by=_tree(chance, depth - 1) if kind == "replace" else None,
        link="?" if has_more and chance.random() < 0.2 else None,
        errback="?" if has_more and chance.random() < 0.2 else None,
    )
