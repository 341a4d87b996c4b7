"""The signature: a call that has not been made yet, which can be sent, stored, changed and put together with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Self, TypeVar, cast, overload

from celeriac.canvas.host import CanvasHost, current
from celeriac.canvas.kinds import as_list, bounded_depth, plain, stamp_names, task_name
from celeriac.canvas.shapes import shaped
from celeriac.canvas.stamping import NOBODY, StampingVisitor, stamp, stamp_links
from celeriac.canvas.wholes import OF_WHOLES
from celeriac.result.handle import AsyncResult
from celeriac.types import Args, Kwargs

I_contra = TypeVar("I_contra", contravariant=True)
"""What a signature takes as its first argument when it follows another."""
R_co = TypeVar("R_co", covariant=True)
"""What its result is."""

I = TypeVar("I")  # noqa: E741
B = TypeVar("B")
T = TypeVar("T")

FIXED = frozenset({"group_id", "stamped_headers"})
"""Options that a later call does not change: they say what a signature belongs to."""


class Signature(dict[str, Any], Generic[I_contra, R_co]):
    """A task with arguments and options, as a mapping that JSON can carry and stock Celery reads.

    Made by ``task.s(...)``, by `signature`, or from a mapping. Arguments may be partial: those of the caller, or of the
    task before it in a chain, come first, unless it is immutable. `apply_async` and its relatives leave it as it is, so
    one signature may be sent any number of times. Not to be changed by one thread while another uses it.
    """

    TYPES: ClassVar[dict[str, type[Signature[Any, Any]]]] = {}
    """The classes of signatures, by their ``subtask_type`` or their task's name."""
    kind: ClassVar[str | None] = None

    def __init__(  # noqa: PLR0913  Celery's signature
        self,
        task: Any = None,
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,  # noqa: A002  Celery's name
        subtask_type: str | None = None,
        immutable: bool = False,  # noqa: FBT001, FBT002  Celery's order
        app: Any = None,
        **more: Any,
    ) -> None:
        self._app: CanvasHost | None = app
        self._type: Any = type
        if isinstance(task, Mapping):
            super().__init__(task)
            return
        if task is not None and not isinstance(task, str):
            self._type, task = self._type or task, task_name(task)
        super().__init__(
            task=task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[type[Self]], type[Self]]:
        """Let mappings with this ``subtask_type``, or task name, become signatures of the decorated class."""

        def register(subclass: type[Self]) -> type[Self]:
            cls.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @staticmethod
    def from_dict(d: Mapping[str, Any], app: Any = None) -> Signature[Any, Any]:
        """Return the signature that a mapping describes, of the class that its kind asks for. Raises TypeError."""
        d = shaped(d)
        kind = d.get("subtask_type") or d.get("task")
        found = Signature.TYPES.get(str(kind), Signature)
        made = found.__new__(found)
        Signature.__init__(made, d, app=app)
        made.revive()
        return made

    def revive(self) -> None:
        """Make signatures of the mappings in a signature that came as one."""

    # -- its parts --------------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        return cast("str", self["task"])

    name = task

    @property
    def args(self) -> Any:
        return self["args"]

    @args.setter
    def args(self, value: Any) -> None:
        self["args"] = value

    @property
    def kwargs(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self["kwargs"])

    @kwargs.setter
    def kwargs(self, value: Any) -> None:
        self["kwargs"] = value

    @property
    def options(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self["options"])

    @options.setter
    def options(self, value: Any) -> None:
        self["options"] = value

    @property
    def subtask_type(self) -> str | None:
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        return bool(self.get("immutable"))

    @immutable.setter
    def immutable(self, value: bool) -> None:
        self["immutable"] = value

    @property
    def id(self) -> str | None:
        """The id that the task will have, once `freeze` or ``set(task_id=...)`` has given it one."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        return self.options.get("root_id")

    @property
    def app(self) -> Any:
        """The application: that of its task, else the current one."""
        if self._app is not None:
            return self._app
        with bounded_depth():
            first = self.first_task()
        known = None if first is None else first.known_app
        return current() if known is None else known

    @property
    def known_app(self) -> Any:
        """The application that it was made with; None when it has only the name of its task."""
        return self._type.app if self._app is None and self._type is not None else self._app

    def first_task(self) -> Signature[Any, Any] | None:
        """Return the first task in it, itself where it is one; None when there is none."""
        return self

    @property
    def type(self) -> Any:
        """The task. Raises `NotRegistered` when the application does not know it."""
        return self._type or self.app.tasks[self.task]

    # -- sending ----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and now, as a plain call with these arguments before its own."""
        args, kwargs, _ = self._merge(args, kwargs)
        return self.type(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R_co]:
        """Send it with these arguments before its own; see `apply_async`."""
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any) -> AsyncResult[R_co]:
        """Send it; return the handle on the result of the whole when the broker has what starts.

        `args` come before its own arguments and `kwargs` among them, unless it is immutable; `options` win over its
        own. Raises what `Task.apply_async` raises.

        Two options hold for all of it: after ``workflow_deadline`` seconds no task of it begins any more, and no chord
        waits; the signature ``on_end`` is sent once, as it is, when all has ended, well or not.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if self.kind is None and self._type is not None and OF_WHOLES.isdisjoint(self.options.keys() | given):
            args, kwargs, options = self._merge(args or (), kwargs or {}, given)
            return cast("AsyncResult[R_co]", self._type.apply_async(args, kwargs, **options))
        return cast("AsyncResult[R_co]", self.app.workflows.send(self, args or (), kwargs or {}, given))

    def apply(self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any) -> AsyncResult[R_co]:
        """Run it here and now as workers would; return a result that is there already."""
        return cast("AsyncResult[R_co]", self.app.workflows.apply(self, args or (), kwargs or {}, options))

    def freeze(self, _id: str | None = None, **place: Any) -> AsyncResult[R_co]:
        """Give ids to all tasks in it, `_id` to the last; return the handle on the result that it will have.

        `place` are options of the last task, such as ``group_id``. Sent twice after this, both runs have the same ids.
        """
        self.options.update((name, value) for name, value in place.items() if value is not None)
        return cast("AsyncResult[R_co]", self.app.workflows.freeze(self, _id))

    def __invert__(self) -> R_co:
        """Send it and wait for its value."""
        return self.apply_async().get()

    # -- changing ---------------------------------------------------------------------------------------------------

    def clone(self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any) -> Self:
        """Return a copy with these arguments before its own, and these options over its own."""
        args, kwargs, options = self._merge(args or (), kwargs or {}, options)
        copy = self.__class__.__new__(self.__class__)
        fields = {**self, "args": tuple(args), "kwargs": dict(kwargs), "options": deepcopy(options)}
        Signature.__init__(copy, fields, type=self._type, app=self._app)
        copy.copy_parts()
        return copy

    partial = clone

    def copy_parts(self) -> None:
        """Copy, in a fresh clone, the signatures that it consists of."""

    def replace(self, args: Any = None, kwargs: Any = None, options: Any = None) -> Self:
        """Return a copy in which what is given stands in place of its own."""
        copy = self.clone()
        for name, value in (("args", args), ("kwargs", kwargs), ("options", options)):
            if value is not None:
                copy[name] = value
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Self:  # noqa: FBT001  Celery's order
        """Set options, such as ``queue`` or ``countdown``; return itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:  # noqa: FBT001  Celery's
        """Say whether it takes arguments beside its own."""
        self.immutable = immutable

    def link(self, callback: Any) -> Any:
        """Let `callback` follow when it has ended well, with its value; return `callback`."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Let `errback` follow when it fails; return `errback`. See docs/canvas.md for what it is called with."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """Let `errback` follow when it fails; return itself."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add to an option that holds a list, unless it is there; return the value."""
        found = self.options[key] = as_list(self.options.get(key))
        if value not in found:
            found.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add several to an option that holds a list."""
        self.options[key] = [*as_list(self.options.get(key)), *as_list(value)]

    def flatten_links(self) -> list[Signature[Any, Any]]:
        """Return itself and all that is linked to it, and to these."""
        linked = (link.flatten_links() for link in as_list(self.options.get("link")))
        return [self, *(one for links in linked for one in links)]

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> Self:  # noqa: FBT001, FBT002  Celery's order
        """Give all its tasks, and what is linked to them, these headers; return itself.

        A `visitor` decides about each part; see `StampingVisitor`. With `append_stamps` a stamp that is there already
        becomes a list of both values.
        """
        stamp(self, visitor or NOBODY, headers, appends=append_stamps)
        return self

    def stamp_links(self, visitor: StampingVisitor | None, append_stamps: bool = False, **headers: Any) -> None:  # noqa: FBT001, FBT002
        """Give what is linked to it these headers."""
        stamp_links(self, visitor or NOBODY, headers, appends=append_stamps)

    # -- putting together -------------------------------------------------------------------------------------------

    @overload  # type: ignore[override]  # stricter than dict's
    def __or__(self, other: Signature[R_co, B]) -> Workflow[I_contra, B]: ...
    @overload  # a list fits what takes a list: to type checkers list[int] is no list[float], yet what travels is
    def __or__(self: Signature[I, list[Any]], other: Signature[list[Any], B]) -> Workflow[I, B]: ...
    def __or__(self, other: Signature[Any, Any]) -> Workflow[Any, Any]:
        """Return the chain in which `other` follows, with the value of this as first argument."""
        if not isinstance(other, Signature):
            return NotImplemented
        return cast("Workflow[Any, Any]", _class_of("chain").in_row(self, other))

    __ior__ = __or__  # type: ignore[assignment]  # as above

    if TYPE_CHECKING:  # mypy asks the right side first where that is a subclass, and dict's would take anything

        def __ror__(self, other: Never) -> Never: ...  # type: ignore[override]

    def steps(self) -> list[Signature[Any, Any]]:
        """Return what it contributes to a chain, as copies."""
        return [self.clone()]

    # -- showing ----------------------------------------------------------------------------------------------------

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return it as Python would call the task, with these arguments before its own."""
        all_args = [repr(one) for one in (*args, *self.args)]
        all_kwargs = [f"{name}={value!r}" for name, value in {**self.kwargs, **kwargs}.items()]
        return f"{self.task}({', '.join((*all_args, *all_kwargs))})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.clone()

    def __json__(self) -> dict[str, Any]:
        return plain(self)

    def __reduce__(self) -> Any:
        return signature, (plain(self),)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _merge(
        self,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Any, Any, Any]:
        own = self.options
        fixed = FIXED.union(stamp_names(own))
        given = {name: value for name, value in (options or {}).items() if name not in fixed or name not in own}
        merged = {**own, **given}
        if self.immutable:
            return self.args, self.kwargs, merged
        return (*args, *self.args), {**self.kwargs, **(kwargs or {})}, merged


class Workflow(Signature[I_contra, R_co]):
    """What `|` makes: a chain or a chord. A call sends it, where a single task would run."""

    tasks: Any

    @overload
    def __call__(self: Workflow[Any, list[T]], *args: Any, **kwargs: Any) -> Any: ...  # may end in a group
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> AsyncResult[R_co]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send it, with these arguments before those of the first step; return None where there is no step."""
        return self.apply_async(args, kwargs) if self.tasks else None


def _class_of(kind: str) -> Any:
    return Signature.TYPES[kind]


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature[Any, Any]:
    """Return a signature: of a task or of one known by name, with `args`, `kwargs` and ``options`` as `Signature` takes
    them; or the one that a mapping describes, such as came as JSON.
    """
    app = kwargs.get("app")
    if isinstance(varies, Mapping):
        if isinstance(varies, Signature):
            return varies.clone()
        return Signature.from_dict(varies, app=app)
    return Signature(varies, *args, **kwargs)


subtask = signature


def maybe_signature(d: Any, app: Any = None, clone: bool = False) -> Any:  # noqa: FBT001, FBT002  Celery's order
    """Return what a mapping describes as a signature; other values as they are, a signature too."""
    if not isinstance(d, Mapping):
        return d
    if isinstance(d, Signature):
        return d.clone() if clone else d
    return Signature.from_dict(d, app=app)


def revived(many: Iterable[Any]) -> Iterator[Any]:
    """Yield the signatures that these mappings, or signatures, describe."""
    return (maybe_signature(one) for one in many)
