"""One message for many items: map, starmap, and chunks of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from celeriac.canvas.groups import group
from celeriac.canvas.kinds import CHUNKS, ITEMS, MAP, STARMAP, each_of
from celeriac.canvas.signature import Signature, maybe_signature
from celeriac.result.groups import GroupResult
from celeriac.types import Args, Kwargs

R = TypeVar("R")
V_co = TypeVar("V_co", covariant=True)


class _OfItems(Signature[Any, V_co], Generic[V_co]):
    """A task and the items to run it with; other arguments do not matter to it."""

    def revive(self) -> None:
        self["kwargs"] = {**self.kwargs, "task": maybe_signature(self.kwargs["task"])}

    @property
    def known_app(self) -> Any:
        return self._app or self.kwargs["task"].known_app


class xmap(_OfItems[list[R]], Generic[R]):  # noqa: N801  Celery's name
    """A task that runs with each of the items, one after the other, in one worker; its value is the list of theirs."""

    def __init__(self, task: Signature[Any, R], it: Iterable[Any], **options: Any) -> None:
        app = options.pop("app", None)
        super().__init__(MAP, (), {"task": task, "it": list(each_of(it, ITEMS))}, options, immutable=True, app=app)

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(x) for x in {self.kwargs['it']!r}]"


class xstarmap(_OfItems[list[R]], Generic[R]):  # noqa: N801  Celery's name
    """As `xmap`, for items that are lists of arguments."""

    def __init__(self, task: Signature[Any, R], it: Iterable[Any], **options: Any) -> None:
        app = options.pop("app", None)
        super().__init__(STARMAP, (), {"task": task, "it": list(each_of(it, ITEMS))}, options, immutable=True, app=app)

    def __repr__(self) -> str:
        return f"[{self.kwargs['task'].task}(*x) for x in {self.kwargs['it']!r}]"


class chunks(_OfItems[list[list[R]]], Generic[R]):  # noqa: N801  Celery's name
    """As `xstarmap`, in parts of `n` items that run side by side."""

    def __init__(self, task: Signature[Any, R], it: Iterable[Any], n: int, **options: Any) -> None:
        if n < 1:
            raise ValueError(f"chunks of {n} items: give a number from 1.")
        app = options.pop("app", None)
        super().__init__(
            CHUNKS, (), {"task": task, "it": list(each_of(it, ITEMS)), "n": n}, options, immutable=True, app=app
        )

    def __call__(self, **options: Any) -> GroupResult[list[R]]:
        return self.apply_async(**options)

    def apply_async(  # type: ignore[override]  # as a group's, its handle is a set of handles
        self,
        args: Args | None = None,  # noqa: ARG002
        kwargs: Kwargs | None = None,  # noqa: ARG002
        **options: Any,
    ) -> GroupResult[list[R]]:
        """Send a message for each part; return the handle on the group of these."""
        return self.group().apply_async(**options)

    def delay(self, *args: Any, **kwargs: Any) -> GroupResult[list[R]]:  # type: ignore[override]  # as apply_async
        return self.apply_async(args, kwargs)

    def group(self) -> group[Any, list[R]]:
        """Return the parts as a group."""
        task, items, size = self.kwargs["task"], self.kwargs["it"], self.kwargs["n"]
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return group([xstarmap(task, part) for part in parts], **self.options)


Signature.TYPES[MAP] = xmap
Signature.TYPES[STARMAP] = xstarmap
Signature.TYPES[CHUNKS] = chunks
