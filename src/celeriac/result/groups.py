"""The results of a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic

from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.groups import GroupStore
from celeriac.result.drawing import Drawing
from celeriac.result.graph import line_of, told_line
from celeriac.result.handle import AsyncResult, R_co, ResultBase
from celeriac.result.host import ResultHost, host_of
from celeriac.result.reader import ResultReader
from celeriac.result.sets import ResultSet
from celeriac.result.trees import tree
from celeriac.types import Seconds
from celeriac.wire import groups as wire


class GroupKeeper:
    """Where groups are saved, and how their results are read again. Thread-safe."""

    def __init__(self, groups: Callable[[], GroupStore | None], reader: ResultReader, *, ttl: Seconds | None) -> None:
        self._groups = groups
        self.reader = reader
        self.ttl = ttl

    @property
    def store(self) -> GroupStore:
        """The store. Raises `ImproperlyConfigured` when the one that is configured keeps no groups."""
        groups = self._groups()
        if groups is None:
            raise ImproperlyConfigured(
                "The result backend keeps no groups and cannot count the members of a chord: set result_backend to"
                " a store that can, for example result_backend='redis://localhost:6379/0'."
            )
        return groups

    def require_store(self) -> None:
        """Raise `ImproperlyConfigured` when the store that is configured keeps no groups."""
        _ = self.store


class GroupResult(ResultSet[R_co], Generic[R_co]):
    """The results of a group, in order; in it those of groups are `GroupResult` too.

    Read as a `ResultSet`. `id` is the group's, `parent` what it followed.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  Celery's name
        results: Iterable[Any] = (),
        parent: Any = None,
        *,
        keeper: GroupKeeper | None = None,
        app: ResultHost | None = None,
    ) -> None:
        super().__init__()
        self.results = list(results)
        self.id: str = id
        self.parent: Any = parent
        self._keeper: GroupKeeper | None = app.keeper if keeper is None and app is not None else keeper

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: ResultHost | None = None) -> GroupResult[Any] | None:  # noqa: A002, ARG003  Celery's
        """Return the group that `save` has kept in the store of `app`, or the current application; None for none."""
        return restore(host_of(app).keeper, id)

    def handles(self) -> Sequence[AsyncResult[R_co]]:
        members: list[Any] = self.results
        if not any(isinstance(one, GroupResult) for one in members):
            return self.results
        return [handle for one in members for handle in (one.handles() if isinstance(one, GroupResult) else [one])]

    def get(
        self,
        timeout: Seconds | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002  Celery's order
        interval: Seconds = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        *,
        disable_sync_subtasks: bool = True,
        **celery_polling: Any,
    ) -> list[R_co]:
        """Wait for all to end and return their values, those of a group in it as a list; see `ResultSet.get`."""
        values = super().get(
            timeout, propagate, interval, callback, disable_sync_subtasks=disable_sync_subtasks, **celery_polling
        )
        return self._nested(iter(values))

    join = get
    join_native = get

    async def aget(self, timeout: Seconds | None = None, *, propagate: bool = True) -> list[R_co]:
        return self._nested(iter(await super().aget(timeout, propagate=propagate)))

    def _nested(self, values: Iterator[Any]) -> list[Any]:
        members: list[Any] = self.results
        return [one._nested(values) if isinstance(one, GroupResult) else next(values) for one in members]  # noqa: SLF001  a group like this one

    @property
    def children(self) -> list[Any]:
        """The members' results."""
        return list(self.results)

    def save(self) -> GroupResult[R_co]:
        """Keep in the store which results it consists of, for `restore`; return itself."""
        keeper = self._needed()
        keeper.store.save(self.id, wire.encode(self.as_tuple()), ttl=keeper.ttl)
        return self

    def delete(self) -> None:
        """Remove what `save` has kept; results stay."""
        self._needed().store.forget(self.id)

    def as_tuple(self) -> tuple[Any, Any]:
        """Celery's nested form: ``((id, parent), [member, ...])``."""
        return told_line(self)

    def tree(self) -> Drawing:
        """Return a drawing of the group and what led to it, with the states of now. Raises `BackendError` kin."""
        return tree(self)

    def as_list(self) -> list[str]:
        """Return its id and those of the results that led to it, the nearest first."""
        return [each.id for each in line_of(self)]

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self.id
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results
        return NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]  # its id stays
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(map(str, self.results))}]>"

    def __copy__(self) -> GroupResult[R_co]:
        return GroupResult(self.id, self.results, parent=self.parent, keeper=self._keeper)

    def __reduce__(self) -> Any:
        return result_from_tuple, (self.as_tuple(),)

    def _needed(self) -> GroupKeeper:
        keeper: GroupKeeper = host_of(None).keeper if self._keeper is None else self._keeper
        return keeper


class GroupMaker:
    """Makes handles on groups of one application: ``app.GroupResult(id, results)``, ``app.GroupResult.restore(id)``."""

    def __init__(self, keeper: GroupKeeper) -> None:
        self._keeper = keeper

    def __call__(
        self,
        id: str,  # noqa: A002  Celery's name
        results: Iterable[Any] = (),
        parent: Any = None,
    ) -> GroupResult[Any]:
        return GroupResult(id, results, parent=parent, keeper=self._keeper)

    def restore(self, id: str) -> GroupResult[Any] | None:  # noqa: A002  Celery's name
        """Return the group that `GroupResult.save` has kept; None for an unknown one."""
        return restore(self._keeper, id)


def restore(keeper: GroupKeeper, group: str) -> GroupResult[Any] | None:
    """Return what `GroupResult.save` has kept; None for an unknown group."""
    payload = keeper.store.fetch(group)
    if payload is None:
        return None
    found = from_tuple(wire.decode(payload), keeper)
    assert isinstance(found, GroupResult)
    return found


def result_from_tuple(r: Any, app: ResultHost | None = None) -> Any:
    """Return the handle that `as_tuple` has described, of `app` or else the current application; a handle as it is."""
    return r if isinstance(r, ResultBase) else from_tuple(r, host_of(app).keeper)


def from_tuple(told: Any, keeper: GroupKeeper) -> Any:
    """Return the handle that `as_tuple` has described."""
    line: list[tuple[str, Any]] = []
    while told is not None:
        head, members = (told, None) if isinstance(told, str) else told
        task_id, told = (head, None) if isinstance(head, str) else head  # Celery reads both
        line.append((task_id, members))
    above: Any = None
    for task_id, members in reversed(line):
        if members is None:
            above = AsyncResult(task_id, keeper.reader, parent=above)
        else:
            handles = [from_tuple(one, keeper) for one in members]
            above = GroupResult(task_id, handles, parent=above, keeper=keeper)
    return above
