"""Many results together: `ResultSet`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Self

from celeriac import states
from celeriac.result.callbacks import call_back
from celeriac.result.gathering import as_they_end, by_reader, in_order, look, unread
from celeriac.result.handle import AsyncResult, R_co, ResultBase
from celeriac.result.joining import refuse_in_task
from celeriac.types import Seconds


class ResultSet(ResultBase, Generic[R_co]):
    """Results of several tasks, in the order in which they were added, each once.

    Read through a set, hundreds of results cost one trip to the store. Not to be changed by one thread while another
    reads it.
    """

    def __init__(self, results: Iterable[AsyncResult[R_co]] = (), **_celery: Any) -> None:
        self.results: list[AsyncResult[R_co]] = list(dict.fromkeys(results))

    def add(self, result: AsyncResult[R_co]) -> None:
        """Add a result unless it is there."""
        if result not in self.results:
            self.results.append(result)

    def update(self, results: Iterable[AsyncResult[R_co]]) -> None:
        """Add those of the results that are not there."""
        self.results = list(dict.fromkeys((*self.results, *results)))

    def remove(self, result: AsyncResult[R_co] | str) -> None:
        """Remove a result, which may be named by its id. Raises KeyError when it is not there."""
        if all(one.id != str(result) for one in self.results):
            raise KeyError(str(result))
        self.discard(result)

    def discard(self, result: AsyncResult[R_co] | str) -> None:
        """Remove a result, which may be named by its id, if it is there."""
        self.results = [one for one in self.results if one.id != str(result)]

    def clear(self) -> None:
        """Take all results out of the set; the store keeps them."""
        self.results = []

    def get(
        self,
        timeout: Seconds | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002  Celery's order
        interval: Seconds = 0.5,  # noqa: ARG002  Celery's, as are the other options on polling: accepted, without effect
        callback: Callable[[str, Any], Any] | None = None,
        *,
        disable_sync_subtasks: bool = True,
        **_celery_polling: Any,
    ) -> list[R_co]:
        """Wait for all to end and return their values in order.

        `timeout` is in seconds and holds for all together; None waits for ever. The first in order that failed raises
        its exception, as soon as those before it have ended, unless `propagate` is False: then exceptions stand among
        the values. `callback` is called with id and value of each, in order. Raises `celeriac.exceptions.TimeoutError`,
        `BackendError`, and RuntimeError inside a task, as `AsyncResult.get` does.
        """
        if disable_sync_subtasks:
            refuse_in_task()
        return [
            handle.get(propagate=propagate, callback=callback, disable_sync_subtasks=False)
            for handle in self._in_order(timeout)
        ]

    join = get
    join_native = get

    async def aget(self, timeout: Seconds | None = None, *, propagate: bool = True) -> list[R_co]:
        """Wait as `get` does, without blocking the event loop."""
        import asyncio  # noqa: PLC0415  as in `ResultReader.wait_async` (ADR 0004)

        waiting = [asyncio.ensure_future(one.aget(timeout, propagate=propagate)) for one in self.handles()]
        try:
            return list(await asyncio.gather(*waiting))
        finally:
            for one in waiting:
                one.cancel()

    def iter_native(self, timeout: Seconds | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each id with its ``{"task_id", "status", "result", "traceback", "children"}`` as the tasks end."""
        by_id = {handle.id: handle for handle in unread(self.handles())}
        for handle in self.handles():
            if handle.id not in by_id and not handle.ignored:
                yield handle.id, _meta(handle)
        for reader, handles in by_reader(by_id.values()):
            for end in as_they_end(reader, [handle.id for handle in handles], timeout=timeout):
                by_id[end.task_id].keep(end)
                yield end.task_id, _meta(by_id[end.task_id])

    def ready(self) -> bool:
        """Tell whether all have ended, well or not."""
        return not self.waiting()

    def waiting(self) -> bool:
        """Tell whether some have not ended."""
        look(self.handles())
        return bool(unread(self.handles()))

    def successful(self) -> bool:
        """Tell whether all have ended well."""
        return self.completed_count() == len(self.handles())

    def failed(self) -> bool:
        """Tell whether some have failed."""
        look(self.handles())
        return any(handle.end is not None and handle.end.state == states.FAILURE for handle in self.handles())

    def completed_count(self) -> int:
        """Return how many have ended well."""
        look(self.handles())
        ends = [handle.end for handle in self.handles()]
        return sum(end is not None and end.state == states.SUCCESS for end in ends)

    def then(
        self,
        callback: Callable[[Self], Any],
        on_error: Callable[[Exception], Any] | None = None,
        weak: bool = False,  # noqa: ARG002, FBT001, FBT002  Celery's
    ) -> None:
        """Call `callback` with this set, once, when all that are in it now have ended, well or not.

        The rest is as in `AsyncResult.then`. A set that is empty has ended.
        """
        call_back(self.handles(), lambda: callback(self), on_error)

    def maybe_throw(
        self,
        callback: Callable[[str, Any], Any] | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002  Celery's order
    ) -> None:
        """Raise the exception of the first in order that has failed by now, without waiting.

        `callback` is called with id and value of each before it; see `AsyncResult.maybe_throw`.
        """
        look(self.handles())
        for handle in self.handles():
            handle.maybe_throw(propagate, callback)

    maybe_reraise = maybe_throw

    @property
    def supports_native_join(self) -> bool:
        """True: `get`, `join` and `join_native` are one."""
        return True

    def forget(self) -> None:
        """Remove the results from the store."""
        for reader, handles in by_reader(self.handles()):
            reader.forget([handle.id for handle in handles])
        for handle in self.handles():
            handle.keep(None)

    def revoke(
        self,
        connection: Any = None,  # noqa: ARG002  Celery's; the application has its own
        terminate: bool = False,  # noqa: FBT001, FBT002  Celery's order
        signal: str | int | None = None,
        wait: bool = False,  # noqa: FBT001, FBT002
        timeout: Seconds | None = None,
    ) -> None:
        """Revoke all tasks of the set, those of groups in it too, in one step; see `AsyncResult.revoke`."""
        for reader, handles in by_reader(self.handles()):
            ids = [handle.id for handle in handles]
            reader.revoker.revoke(ids, terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    def handles(self) -> Sequence[AsyncResult[R_co]]:
        """Return the handles that are read: those of its results, one for each task."""
        return self.results

    def __iter__(self) -> Iterator[AsyncResult[R_co]]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> AsyncResult[R_co]:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(handle.id for handle in self.results)}]>"

    def _in_order(self, timeout: Seconds | None) -> Iterator[AsyncResult[R_co]]:
        """Yield the handles in order, each when its end is known to it."""
        ends = iter(self._ends_of_unread(timeout))
        for handle in self.handles():
            if handle.end is None and not handle.ignored:
                next(ends)
            yield handle

    def _ends_of_unread(self, timeout: Seconds | None) -> Iterator[None]:
        for reader, handles in by_reader(unread(self.handles())):
            ends = in_order(reader, [handle.id for handle in handles], timeout=timeout)
            for handle, end in zip(handles, ends, strict=True):
                handle.keep(end)
                yield


def _meta(handle: AsyncResult[Any]) -> dict[str, Any]:
    return {
        "task_id": handle.id,
        "status": handle.state,
        "result": handle.result,
        "traceback": handle.traceback,
        "children": handle.children,
    }
