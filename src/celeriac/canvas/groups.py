"""Groups: signatures that are sent together, and whose results are read together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain as concatenated
from itertools import islice
from typing import Any, Final, TypeVar, cast

from celeriac.canvas.kinds import GROUP, SIGNATURES, each_of, no_signature
from celeriac.canvas.signature import I_contra, Signature, maybe_signature, revived
from celeriac.result.groups import GroupResult
from celeriac.types import Args, Kwargs

T = TypeVar("T", covariant=True)

_KEPT: Final = 1000
"""Members of a generator that are read at once; of a larger one the rest is read when the group is sent."""


class Once(Iterable[Any]):
    """The members of a group that come from a large generator: they can be gone through once."""

    def __init__(self, first: list[Any], rest: Iterator[Any]) -> None:
        self.first = first[0]
        self.changes: list[Callable[[Any], None]] = []
        self._members: Iterator[Any] | None = concatenated(first, rest)

    def __iter__(self) -> Iterator[Any]:
        members, self._members = self._members, None
        if members is None:
            raise ValueError(
                f"The generator of this group, of more than {_KEPT} members, is used up: a group made of it can be sent"
                " once. Make another, or give a list."
            )
        return map(self._changed, members)

    def _changed(self, member: Any) -> Any:
        for change in self.changes:
            change(member)
        return member


class group(Signature[I_contra, list[T]]):  # noqa: N801  Celery's name
    """Signatures that run side by side; its value is the list of theirs, in the order in which they were written.

    Takes signatures, or one iterable of them: a list, or a generator, which may be of any size. Groups in it become
    part of it. ``group | task`` is a chord.
    """

    kind = GROUP

    def __init__(self: group[Any, T], *tasks: Signature[Any, T] | Iterable[Signature[Any, T]], **options: Any) -> None:
        app = options.pop("app", None)
        super().__init__("celery.group", (), {"tasks": _members(tasks)}, options, subtask_type=GROUP, app=app)

    def revive(self) -> None:
        self["kwargs"] = {**self.kwargs, "tasks": list(revived(self.tasks))}

    @property
    def tasks(self) -> Any:
        """The members: a list, or what a large generator goes on with."""
        return self.kwargs["tasks"]

    @tasks.setter
    def tasks(self, value: Iterable[Any]) -> None:
        self.kwargs["tasks"] = value

    def first_task(self) -> Signature[Any, Any] | None:
        if isinstance(self.tasks, Once):
            return cast("Signature[Any, Any]", maybe_signature(self.tasks.first)).first_task()
        found = (maybe_signature(one).first_task() for one in self.tasks)
        return next((one for one in found if one is not None), None)

    def __len__(self) -> int:
        """Return how many members it has, which reads a generator to its end."""
        return len(self.all_tasks())

    def __bool__(self) -> bool:
        return True

    def all_tasks(self) -> list[Signature[Any, Any]]:
        """Return the members as a list, which reads a generator to its end."""
        if not isinstance(self.tasks, list):
            self.tasks = list(self.tasks)
        return cast("list[Signature[Any, Any]]", self.tasks)

    def map_tasks(self, change: Callable[[Any], None]) -> None:
        """Apply a function that changes signatures to each member; of a large generator, as they come."""
        if isinstance(self.tasks, Once):
            self.tasks.changes.append(change)
        else:
            for one in self.all_tasks():
                change(one)

    def __call__(self, *partial_args: Any, **options: Any) -> GroupResult[T]:
        """Send all members with these arguments before their own."""
        return self.apply_async(partial_args, **options)

    def apply_async(  # type: ignore[override]  # a group's handle is a set of handles
        self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any
    ) -> GroupResult[T]:
        """Send all members; return the handle on their results when the broker has all of them.

        Options hold for each member, ``task_id`` is the group's id. Raises TypeError for `link` and `link_error`, which
        belong to members, or to the body of a chord.
        """
        for name in ("link", "link_error"):
            if options.get(name) is not None:
                raise TypeError(f"A group takes no {name}: give it to its members, or make a chord of it.")
        given = {name: value for name, value in options.items() if value is not None}
        return cast("GroupResult[T]", self.app.workflows.send(self, args or (), kwargs or {}, given))

    def delay(self, *args: Any, **kwargs: Any) -> GroupResult[T]:  # type: ignore[override]  # as apply_async
        return self.apply_async(args, kwargs)

    def apply(  # type: ignore[override]  # as apply_async
        self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any
    ) -> GroupResult[T]:
        return cast("GroupResult[T]", self.app.workflows.apply(self, args or (), kwargs or {}, options))

    def freeze(self, _id: str | None = None, **place: Any) -> GroupResult[T]:  # type: ignore[override]  # as apply_async
        self.all_tasks()
        return cast("GroupResult[T]", super().freeze(_id, **place))

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group[I_contra, T]:
        """Let the members start one after the other, `step` seconds apart, from `start` to `stop`; return itself."""
        countdown = start
        for one in self.all_tasks():
            one.set(countdown=countdown)
            countdown = countdown + step if stop is None else min(stop, countdown + step)
        return self

    def link(self, callback: Any) -> Any:
        """Let `callback` follow the first member, without its value. A chord is what waits for all."""
        return self.all_tasks()[0].link(callback.clone().set(immutable=True))

    def link_error(self, errback: Any) -> Any:
        """Let `errback` follow each member that fails."""
        return tuple(one.link_error(errback.clone()) for one in self.all_tasks())

    def set_immutable(self, immutable: bool) -> None:  # noqa: FBT001  Celery's
        for one in self.all_tasks():
            one.set_immutable(immutable)

    def copy_parts(self) -> None:
        if isinstance(self.tasks, list):
            self["kwargs"] = {**self.kwargs, "tasks": [one.clone() for one in self.tasks]}

    def __repr__(self) -> str:
        return f"group({self.tasks!r})" if isinstance(self.tasks, list) else "group(<generator>)"


Signature.TYPES[GROUP] = group


def unrolled(sig: Any) -> Any:
    """Return what stands for a group in a chain: its only member, or itself."""
    if isinstance(sig, group) and isinstance(sig.tasks, list) and len(sig.tasks) == 1:
        return sig.tasks[0]
    return sig


def is_empty(sig: Any) -> bool:
    """Tell whether a signature is a group without members."""
    return isinstance(sig, group) and isinstance(sig.tasks, list) and not sig.tasks


def _members(tasks: tuple[Any, ...]) -> Any:
    found = _given(tasks)
    if not isinstance(found, Once):
        for one in found:
            if not isinstance(one, Signature):
                raise no_signature(one)
    return found


def _given(tasks: tuple[Any, ...]) -> Any:
    if len(tasks) != 1:
        return [maybe_signature(one) for one in tasks]
    (only,) = tasks
    if isinstance(only, group):
        return only.tasks
    if isinstance(only, Mapping):
        return [maybe_signature(only)]
    if isinstance(only, list | tuple):
        return list(revived(only))
    if isinstance(only, Once):
        return only
    members = iter(each_of(only, SIGNATURES))
    first = list(revived(islice(members, _KEPT + 1)))
    return first if len(first) <= _KEPT else Once(first, members)
