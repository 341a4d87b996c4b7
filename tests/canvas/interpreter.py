"""What a workflow must come to: an interpreter of workflows as trees, which knows nothing of how they are run.

A tree is a task, a chain, a group or a chord. It is evaluated with the values that come before it, and gives a value or
the error that it ended with; on the way it notes which labels ran, how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from celeriac.canvas import chain, chord, group
from tests.canvas.bench import Bench
from tests.canvas.tasks import short


@dataclass(frozen=True)
class Task:
    """`kind` is what becomes of it: ok, fail, flaky, immutable, replace (by `by`)."""

    label: str
    kind: str = "ok"
    times: int = 0
    by: Any = None
    link: str | None = None
    errback: str | None = None


@dataclass(frozen=True)
class Chain:
    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Group:
    members: tuple[Any, ...]


@dataclass(frozen=True)
class Chord:
    header: Group
    body: Any


@dataclass(frozen=True)
class Ended:
    """A value; or the name of an error."""

    value: Any = None
    error: str | None = None


@dataclass
class World:
    """What has run."""

    runs: Counter[str] = field(default_factory=Counter)


_END = Task("")
"""Makes one task's value of a group's: what stands at its end when it takes the place of a task."""


def evaluate(tree: Any, values: Sequence[Any], world: World) -> Ended:
    """Return how a tree ends; a group ends with the list of its members' ends."""
    if tree is _END:
        return Ended(values[0])
    tree = _simple(tree)
    if isinstance(tree, Task):
        return _task(tree, values, world)
    if isinstance(tree, Chain):
        return _chain(list(tree.steps), values, world)
    if isinstance(tree, Chord):
        return _chord(tree.header, [tree.body], values, world)
    return _group(_members(tree), values, world)


def _task(task: Task, values: Sequence[Any], world: World) -> Ended:
    if task.kind == "immutable":
        values = ()
    if task.kind == "flaky":
        for retry in range(task.times + 1):
            world.runs[f"{task.label}#{retry}"] += 1
    else:
        world.runs[task.label] += 1
    if task.kind == "replace":
        end = _as_one(_simple(task.by), values, world)
    elif task.kind == "fail":
        end = Ended(error="Broken")
    else:
        end = Ended(f"{task.label}({','.join(map(short, values))})")
    if task.link and end.error is None:
        world.runs[task.link] += 1
    if task.errback and end.error is not None:
        world.runs[task.errback] += 1
    return end


def _as_one(tree: Any, values: Sequence[Any], world: World) -> Ended:
    """What takes the place of a task has one value or error, also if it ends in a group."""
    if isinstance(tree, Group):
        return _join(_members(tree), values, world)
    if isinstance(tree, Chain):
        return _chain([*tree.steps, _END], values, world)
    return evaluate(tree, values, world)


def _chain(steps: list[Any], values: Sequence[Any], world: World) -> Ended:
    """A group that something follows waits for all its members; one of one member is that member."""
    steps = _with_something(steps)
    end = Ended([])
    while steps:
        step = steps.pop(0)
        if isinstance(step, Group):
            members = _members(step)
            if len(members) == 1:
                steps = _with_something([members[0]]) + steps
                continue
            if steps:
                end = _join(members, values, world)
                if end.error:
                    _break(steps, world)
            else:
                return _group(members, values, world)
        elif isinstance(step, Chord):
            return _chord(step.header, [step.body, *steps], values, world)
        else:
            end = evaluate(step, values, world)
        if end.error is not None:
            return end
        values = [end.value]
    return end


def _with_something(steps: list[Any]) -> list[Any]:
    """Return the steps without groups of nothing, which are as if they were not there."""
    return [step for step in _flat(steps) if not isinstance(step, Group) or _members(step)]


def _chord(header: Group, body: list[Any], values: Sequence[Any], world: World) -> Ended:
    end = _join(_members(header), values, world)
    if end.error is not None:
        _break(body, world)
        return end
    return _chain(body, [end.value], world)


def _break(steps: list[Any], world: World) -> None:
    """A chord that cannot go on calls the error callbacks of what would have been its body."""
    step, *rest = _with_something(steps)
    if step is _END:
        return
    if isinstance(step, Task):
        world.runs.update([step.errback] if step.errback else [])
    elif isinstance(step, Chord):
        _break([step.body, *rest], world)
    elif len(_members(step)) == 1:
        _break([_members(step)[0], *rest], world)
    elif rest:
        _break(rest, world)
    else:
        for member in _members(step):
            _break([member], world)


def _join(members: list[Any], values: Sequence[Any], world: World) -> Ended:
    ends = [evaluate(member, values, world) for member in members]
    if any(end.error for end in ends):
        return Ended(error="ChordError")
    return Ended([end.value for end in ends])


def _group(members: list[Any], values: Sequence[Any], world: World) -> Ended:
    ends = [evaluate(member, values, world) for member in members]
    failed = next((end.error for end in ends if end.error), None)
    return Ended(error=failed) if failed else Ended([end.value for end in ends])


def _members(tree: Group) -> list[Any]:
    """Groups in a group are part of it."""
    found: list[Any] = []
    for member in map(_simple, tree.members):
        found += _members(member) if isinstance(member, Group) else [member]
    return found


def _simple(tree: Any) -> Any:
    """A chain of one step is that step, and of none a group of none."""
    if not isinstance(tree, Chain):
        return tree
    steps = [step for step in map(_simple, _flat(list(tree.steps))) if not isinstance(step, Group) or _members(step)]
    if len(steps) != 1:
        return Chain(tuple(steps)) if steps else Group(())
    members = _members(steps[0]) if isinstance(steps[0], Group) else []
    return members[0] if len(members) == 1 else steps[0]


def _flat(steps: list[Any]) -> list[Any]:
    """Chains in a chain are part of it."""
    found: list[Any] = []
    for step in steps:
        found += _flat(list(step.steps)) if isinstance(step, Chain) else [step]
    return found


def build(tree: Any, bench: Bench) -> Any:
    """Return the tree as a signature."""
    if isinstance(tree, Chain):
        return chain([build(step, bench) for step in tree.steps])
    if isinstance(tree, Group):
        return group([build(member, bench) for member in tree.members])
    if isinstance(tree, Chord):
        return chord(build(tree.header, bench), build(tree.body, bench))
    return _signature(tree, bench)


def _signature(task: Task, bench: Bench) -> Any:
    if task.kind == "fail":
        sig = bench.tasks.fail.s(label=task.label)
    elif task.kind == "flaky":
        sig = bench.tasks.flaky.s(label=task.label, times=task.times)
    elif task.kind == "replace":
        sig = bench.tasks.replace.s(label=task.label, by=build(task.by, bench))
    elif task.kind == "immutable":
        sig = bench.tasks.step.si(label=task.label)
    else:
        sig = bench.tasks.step.s(label=task.label)
    if task.link:
        sig.link(bench.tasks.step.si(label=task.link))
    if task.errback:
        sig.link_error(bench.tasks.step.si(label=task.errback))
    return sig
