"""``@app.task``: keeps the function's signature, so that `delay` is checked and `get` has its type."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from celeriac.app.options import TaskOptions
from celeriac.app.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class Decorating(Protocol):
    """``@app.task(...)`` on a function."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class DecoratingBound(Protocol):
    """``@app.task(bind=True, ...)`` on a function whose first parameter is the task."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


Register = Callable[[Task[..., Any]], Task[..., Any]]
"""Takes a new task into an application; returns the one that serves under its name."""


class TaskDecorator:
    """The decorator of one application. With or without arguments: ``@app.task`` and ``@app.task(...)``.

    `name` is the task's name, by default the function's module and name. `bind` hands the task in as first argument.
    `base` is a subclass of `Task`. The rest are the attributes of `Task`. An ``async def`` runs on the engine's event
    loop. Raises TypeError for what is no function.
    """

    def __init__(
        self,
        register: Register,
        *,
        name_of: Callable[[Callable[..., Any]], str],
        default_base: type[Task[..., Any]] = Task,
    ) -> None:
        self._register = register
        self._name_of = name_of
        self.default_base = default_base
        """What tasks are made of that name no base."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        bind: Literal[True],
        name: str | None = ...,
        base: type[Task[..., Any]] | None = ...,
        **options: Unpack[TaskOptions],
    ) -> DecoratingBound: ...
    @overload
    def __call__(
        self,
        *,
        bind: Literal[False] = ...,
        name: str | None = ...,
        base: type[Task[..., Any]] | None = ...,
        **options: Unpack[TaskOptions],
    ) -> Decorating: ...
    def __call__(
        self,
        function: Callable[..., Any] | None = None,
        *,
        bind: bool = False,
        name: str | None = None,
        base: type[Task[..., Any]] | None = None,
        **options: Any,
    ) -> Any:
        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            if not callable(function):
                raise TypeError(f"@task goes on a function, not on {function!r}: write its options by name.")
            made = (base or self.default_base).of(
                function, name=name or self._name_of(function), bind=bind, options=options
            )
            return self._register(made)

        return decorate if function is None else decorate(function)


def as_task(candidate: Any) -> Task[..., Any]:
    """Return the task that a class or an instance stands for; TypeError when it is neither."""
    task = candidate() if isinstance(candidate, type) else candidate
    if not isinstance(task, Task):
        raise TypeError(f"register_task takes a Task, or a subclass of Task, not {candidate!r}.")
    if not callable(getattr(task, "run", None)):
        raise TypeError(f"{type(task).__name__} has no run method: define what the task does.")
    return cast("Task[..., Any]", task)
