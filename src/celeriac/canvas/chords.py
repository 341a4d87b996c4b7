"""Chords: a header of signatures that run side by side, and a body that runs once when all of them have ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar, overload

from celeriac.canvas.groups import group
from celeriac.canvas.kinds import CHORD, as_list
from celeriac.canvas.signature import R_co, Signature, Workflow, maybe_signature
from celeriac.result.handle import AsyncResult
from celeriac.types import Args, Kwargs

T = TypeVar("T")
R = TypeVar("R")


class chord(Workflow[Any, R_co], Generic[R_co]):  # noqa: N801  Celery's name
    """A header and a body: the body gets the list of the members' values, in the order in which they were written.

    ``chord(header)(body)`` sends it, ``chord(header, body)`` and ``group | body`` make one to send later. When a member
    fails, the body has failed with a `ChordError` that names it. See docs/canvas.md for what else ends a chord.
    """

    kind = CHORD

    @overload
    def __init__(self: chord[Any], header: Any, body: None = None, **options: Any) -> None: ...
    @overload
    def __init__(self: chord[R], header: Any, body: Signature[Any, R], **options: Any) -> None: ...
    def __init__(  # noqa: PLR0913  Celery's signature
        self,
        header: Any,
        body: Signature[Any, Any] | None = None,
        task: str = "celery.chord",
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        app: Any = None,
        **options: Any,
    ) -> None:
        fields = {"kwargs": {}, **(kwargs or {}), "header": _header(header), "body": maybe_signature(body)}
        super().__init__(task, args, fields, options, subtask_type=CHORD, app=app)

    def revive(self) -> None:
        fields = {"kwargs": {}, **self.kwargs}
        self["kwargs"] = {**fields, "header": _header(fields["header"]), "body": maybe_signature(fields.get("body"))}

    @property
    def tasks(self) -> Any:
        """The header."""
        return self.kwargs["header"]

    @tasks.setter
    def tasks(self, value: Any) -> None:
        self.kwargs["header"] = _header(value)

    @property
    def body(self) -> Any:
        return self.kwargs["body"]

    @body.setter
    def body(self, value: Any) -> None:
        self.kwargs["body"] = value

    def first_task(self) -> Signature[Any, Any] | None:
        first: Signature[Any, Any] | None = self.tasks.first_task()
        return first if first is not None or self.body is None else self.body.first_task()

    @overload
    def __call__(self, body: None = None, **options: Any) -> AsyncResult[R_co]: ...
    @overload
    def __call__(self, body: Signature[Any, R], **options: Any) -> AsyncResult[R]: ...
    def __call__(self, body: Signature[Any, Any] | None = None, **options: Any) -> AsyncResult[Any]:
        """Send it, with this body if it has none; return the handle on the body's result."""
        return self.apply_async((), {"body": body} if body is not None else {}, **options)

    def apply_async(self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Any) -> AsyncResult[R_co]:
        """Send it; return the handle on the body's result, whose `parent` is the header's.

        `args` and `kwargs` go to the members, a ``body`` among `kwargs` stands in place of its own. Options hold for
        members and body; ``countdown`` and ``eta`` for the members, ``link`` and ``link_error`` for the body, whose id
        ``task_id`` is.
        """
        kwargs = dict(kwargs or {})
        body = kwargs.pop("body", None)
        if body is None:
            return super().apply_async(args, kwargs, **options)
        copy = self.clone()
        copy.body = body
        return copy.apply_async(args, kwargs, **options)

    def link(self, callback: Any) -> Any:
        """Let `callback` follow the body."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Let `errback` follow when the body fails, or cannot run because a member failed.

        With ``task_allow_error_cb_on_chord_header`` also for each member that fails.
        """
        if self.app.conf.task_allow_error_cb_on_chord_header:
            for one in self.tasks.all_tasks():
                one.link_error(maybe_signature(errback, clone=True).set(immutable=True))
        elif isinstance(self.tasks.tasks, list):
            for one in self.tasks.tasks:
                if isinstance(one, chord):
                    one.link_error(errback)
        self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:  # noqa: FBT001  Celery's
        """Say whether the members take arguments beside their own; the body always takes their values."""
        self.tasks.set_immutable(immutable)

    def copy_parts(self) -> None:
        body = self.body
        self["kwargs"] = {**self.kwargs, "header": self.tasks.clone(), "body": body and body.clone()}

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        body = "<no body>" if self.body is None else repr(self.body)
        return f"chord({self.tasks!r}, {body})"

    def flatten_links(self) -> list[Signature[Any, Any]]:
        return [self, *(one for link in as_list(self.options.get("link")) for one in link.flatten_links())]


Signature.TYPES[CHORD] = chord


def _header(header: Iterable[Any] | Mapping[str, Any]) -> group[Any, Any]:
    found = maybe_signature(header)
    return found if isinstance(found, group) else group(found)
