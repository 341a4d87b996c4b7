"""What a task does as a part of workflows: making signatures of itself, giving way to others, adding to its chord."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Never, ParamSpec, TypeVar, cast, overload

from celeriac.app.context import Context
from celeriac.app.host import Host
from celeriac.canvas import forms, items
from celeriac.canvas.kinds import Raw, chain, derived_id, kind_of, leaves, no_signature, plain
from celeriac.canvas.signature import Signature
from celeriac.exceptions import ImproperlyConfigured, Replaced
from celeriac.types import Args, Kwargs

P = ParamSpec("P")
Q = ParamSpec("Q")
A = TypeVar("A")
R = TypeVar("R")
V = TypeVar("V")


class Composing(Generic[P, R]):
    """The part of `Task` that workflows are made with."""

    name: str

    if TYPE_CHECKING:

        @property
        def app(self) -> Host: ...
        @property
        def request(self) -> Context: ...
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def s(self, *args: P.args, **kwargs: P.kwargs) -> Signature[Any, R]: ...
    @overload
    def s(self: Callable[Concatenate[A, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Signature[A, R]: ...
    def s(self, *args: Any, **kwargs: Any) -> Signature[Any, Any]:
        """Return a signature with these arguments; what comes before it in a workflow adds its value in front."""
        return Signature(self, args, kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[Any, R]:
        """Return a signature with exactly these arguments, whatever comes before it."""
        return Signature(self, args, kwargs, immutable=True)

    def signature(
        self,
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Signature[Any, R]:
        """Return a signature with arguments and options; ``immutable=True`` makes it take no others."""
        return Signature(self, args, kwargs, options, **more)

    subtask = signature

    def __or__(self, other: Never) -> Never:
        """Raise TypeError: a task is no step of a chain, its signature is."""
        raise no_signature(self)

    __ror__ = __or__

    def map(self, it: Iterable[Any]) -> items.xmap[R]:
        """Return a signature that runs the task with each item, in one message."""
        return items.xmap(Signature(self), it)

    def starmap(self, it: Iterable[Any]) -> items.xstarmap[R]:
        """Return a signature that runs the task with each list of arguments, in one message."""
        return items.xstarmap(Signature(self), it)

    def chunks(self, it: Iterable[Any], n: int) -> items.chunks[R]:
        """Return a signature that runs the task with each list of arguments, `n` of them in each message."""
        return items.chunks(Signature(self), it, n)

    def replace(self, sig: Signature[Any, V]) -> V:
        """Let `sig` run in place of the running task, whose id, callbacks, chain and chord it takes over.

        Ends the run: write ``return self.replace(sig)``. To type checkers its value is what becomes of the task: that
        of `sig`, of a group the list of its members' values. Raises
        `ImproperlyConfigured` outside a run, and for a signature that is empty or part of a chord, and TypeError for
        what is no signature.
        """
        request = self.request
        if request.called_directly or request.id is None:
            raise ImproperlyConfigured(f"{self.name}.replace() was called outside a run: there is nothing to replace.")
        given = plain(sig)
        if "chord" in given["options"]:
            raise ImproperlyConfigured("What replaces a task must not be part of a chord: it joins the task's own.")
        form = forms.normal(given)
        if form is None or not list(leaves(form)):
            raise ImproperlyConfigured(f"{self.name} cannot be replaced with an empty chain or group.")
        return cast("V", self.on_replace(Signature.from_dict(self._in_place(form, request), app=self.app)))

    def on_replace(self, sig: Signature[Any, Any]) -> Any:
        """Override: called with what takes the task's place; return what ``super().on_replace(sig)`` returns."""
        if self.request.is_eager:
            return sig.apply().get(disable_sync_subtasks=False)
        raise Replaced(sig)

    def add_to_chord(self, sig: Signature[Any, Any], lazy: bool = False) -> Any:  # noqa: FBT001, FBT002  Celery's order
        """Add a member to the chord that the running task is a member of, and send it, unless `lazy`.

        Returns the handle on its result, or with `lazy` the signature to send. Raises ValueError outside a chord.
        """
        request = self.request
        if not request.chord or request.group is None or request.id is None:
            raise ValueError(f"{self.name}.add_to_chord() was called by a task that is not a member of a chord.")
        request.added += 1
        sig.set(
            task_id=sig.id or derived_id(request.id, "added", request.added),
            group_id=request.group,
            group_index=request.group_index,
            chord=request.chord,
            root_id=request.root_id,
        )
        groups = self.app.groups
        if groups is None:
            raise ImproperlyConfigured("The result backend cannot count the members of a chord: set result_backend.")
        groups.grow(request.group, [str(sig.id)])
        return sig if lazy else sig.delay()

    def _in_place(self, form: Raw, request: Context) -> Raw:
        """Return the form that stands for the running task, with what was to follow the task behind it."""
        call = request.call
        task_id, nesting = call.id, call.replaced_task_nesting + 1
        form = forms.ends_in_one(form)
        for callback in call.callbacks or ():
            forms.link(form, callback)
        for errback in call.errbacks or ():
            forms.link_error(form, errback)
        forms.attach(form, chord=call.chord, group_id=call.group_id, group_index=call.group_index)
        for leaf in leaves(form):
            leaf["options"]["replaced_task_nesting"] = nesting
            _keep_stamps(leaf["options"], call.stamped_headers, call.stamps)
        names = (derived_id(task_id, "replaced", nesting, count) for count in range(1_000_000_000))
        forms.name_all(form, lambda: next(names), task_id)
        forms.last_of(form)["options"]["task_id"] = task_id
        if not call.chain:
            return form
        steps = [form] if kind_of(form) != "chain" else list(form["kwargs"]["tasks"])
        return forms.normal(chain([*steps, *reversed(call.chain)])) or form


def _keep_stamps(options: dict[str, Any], names: Iterable[str] | None, stamps: Mapping[str, Any] | None) -> None:
    if not names:
        return
    own = options.get("stamped_headers") or ()
    options["stamped_headers"] = [*own, *(name for name in names if name not in own)]
    for name, value in (stamps or {}).items():
        options.setdefault(name, value)
