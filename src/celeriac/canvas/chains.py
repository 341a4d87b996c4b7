"""Chains: signatures that run one after the other, each with the value of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, overload

from celeriac.canvas.chords import chord
from celeriac.canvas.groups import group, is_empty, unrolled
from celeriac.canvas.kinds import CHAIN, SIGNATURES, as_list, each_of, no_signature
from celeriac.canvas.signature import I_contra, R_co, Signature, Workflow, maybe_signature, revived

I = TypeVar("I")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")


class chain(Workflow[I_contra, R_co]):  # noqa: N801  Celery's name
    """Signatures of which each runs when the one before has ended well, with its value as first argument.

    Takes signatures, or one iterable of them. Its result is that of the last, whose `parent` is the one before. A group
    in it that something follows becomes a chord. When one fails, those after it have failed with the same error.
    """

    kind = CHAIN

    @overload
    def __init__(self: chain[I, A], first: Signature[I, A], /, **options: Any) -> None: ...
    @overload
    def __init__(self: chain[I, B], a: group[I, Any], b: Signature[list[Any], B], /, **options: Any) -> None: ...
    @overload
    def __init__(self: chain[I, B], a: Signature[I, A], b: Signature[A, B], /, **options: Any) -> None: ...
    @overload
    def __init__(
        self: chain[I, C], a: Signature[I, A], b: group[A, Any], c: Signature[list[Any], C], /, **options: Any
    ) -> None: ...
    @overload
    def __init__(
        self: chain[I, C], a: group[I, Any], b: Signature[list[Any], B], c: Signature[B, C], /, **options: Any
    ) -> None: ...
    @overload
    def __init__(
        self: chain[I, C], a: Signature[I, A], b: Signature[A, B], c: Signature[B, C], /, **options: Any
    ) -> None: ...
    @overload
    def __init__(
        self: chain[I, D],
        a: Signature[I, A],
        b: Signature[A, B],
        c: Signature[B, C],
        d: Signature[C, D],
        /,
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: chain[I, E],
        a: Signature[I, A],
        b: Signature[A, B],
        c: Signature[B, C],
        d: Signature[C, D],
        e: Signature[D, E],
        /,
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: chain[I, Any],
        a: Signature[I, A],
        b: Signature[A, B],
        c: Signature[B, C],
        d: Signature[C, D],
        e: Signature[D, E],
        f: Signature[E, F],
        /,
        *more: Signature[Any, Any],
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(self: chain[Any, Any], tasks: Iterable[Signature[Any, Any]] = (), /, **options: Any) -> None: ...
    def __init__(self, *tasks: Any, **options: Any) -> None:  # type: ignore[misc]  # mypy takes `/` and ** for a contradiction
        app = options.pop("app", None)
        super().__init__("celery.chain", (), {"tasks": _steps(tasks)}, options, subtask_type=CHAIN, app=app)

    @staticmethod
    def in_row(left: Signature[Any, Any], right: Signature[Any, Any]) -> Signature[Any, Any]:
        """Return what ``left | right`` is, by Celery's rules: a chain, or a chord."""
        if is_empty(right):
            return left
        right = unrolled(right)
        if isinstance(left, group):
            return chord(left, body=right)
        if isinstance(left, chord) and not isinstance(right, group | chain):
            copy = left.clone()
            copy.body = copy.body | right
            return copy
        steps = left.steps()
        for one in right.steps():
            steps = _with_next(steps, one)
        return chain(steps)

    def revive(self) -> None:
        self["kwargs"] = {**self.kwargs, "tasks": list(revived(self.tasks))}

    @property
    def tasks(self) -> list[Signature[Any, Any]]:
        """The steps."""
        found: list[Signature[Any, Any]] = self.kwargs["tasks"]
        return found

    @tasks.setter
    def tasks(self, value: Iterable[Any]) -> None:
        self.kwargs["tasks"] = list(value)

    def first_task(self) -> Signature[Any, Any] | None:
        found = (one.first_task() for one in self.tasks)
        return next((one for one in found if one is not None), None)

    def steps(self) -> list[Signature[Any, Any]]:
        steps = [one.clone() for one in self.tasks]
        for callback in as_list(self.options.get("link")):
            steps[-1].link(callback)
        for errback in as_list(self.options.get("link_error")):
            for one in steps:
                one.link_error(errback)
        return steps

    unchain_tasks = steps

    def copy_parts(self) -> None:
        self["kwargs"] = {**self.kwargs, "tasks": [one.clone() for one in self.tasks]}

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks)) if self.tasks else "chain(<empty>)"


Signature.TYPES[CHAIN] = chain


def _steps(tasks: tuple[Any, ...]) -> list[Any]:
    if len(tasks) == 1 and not isinstance(tasks[0], Mapping):
        tasks = tuple(each_of(tasks[0], SIGNATURES))
    for one in tasks:
        if not isinstance(one, Mapping):
            raise no_signature(one)
    return [unrolled(maybe_signature(one)) for one in tasks if not is_empty(one) or len(tasks) == 1]


def _with_next(steps: list[Signature[Any, Any]], one: Signature[Any, Any]) -> list[Signature[Any, Any]]:
    last = steps[-1] if steps else None
    if isinstance(last, group):
        steps[-1] = joined = chord(last, body=one)
        before = steps[-2] if len(steps) > 1 else None
        if isinstance(before, chord):
            before.body = before.body | joined
            steps.pop()
    elif isinstance(last, chord) and not isinstance(one, chord):
        last.body = last.body | one
    else:
        steps.append(one)
    return steps
