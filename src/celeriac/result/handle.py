"""The handle: what `delay()` returns and `get()` waits on. An id and a reader; it does not know the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, Self, TypeVar, cast

from celeriac import states
from celeriac.exceptions import RemoteError, TaskError, TimeoutError
from celeriac.interfaces.results import ResultBackend
from celeriac.result.callbacks import call_back
from celeriac.result.drawing import Drawing
from celeriac.result.graph import DependencyGraph, descend, line_of, told_line
from celeriac.result.host import ResultHost, host_of
from celeriac.result.joining import refuse_in_task
from celeriac.result.reader import ResultReader
from celeriac.result.trees import tree
from celeriac.types import Seconds
from celeriac.wire.results import TaskResult

R_co = TypeVar("R_co", covariant=True)


class ResultBase:
    """What handles on one result and on several have in common."""

    __slots__ = ()


class AsyncResult(ResultBase, Generic[R_co]):
    """The future result of a task. Handles are cheap, compare by id, and may be made for any id.

    An end (SUCCESS, FAILURE, REVOKED) is read from the store once and kept. Thread-safe. Without `app` it belongs to
    the application that is current, and so when it was pickled.
    """

    __slots__ = ("_end", "_name", "id", "ignored", "parent", "reader")

    TimeoutError = TimeoutError

    def __init__(  # noqa: PLR0913  Celery's, with what its maker knows
        self,
        id: str,  # noqa: A002  Celery's name
        reader: ResultReader | None = None,
        *,
        parent: AsyncResult[Any] | None = None,
        ignored: bool = False,
        app: ResultHost | None = None,
        name: str | None = None,
    ) -> None:
        self.id: str = id
        self._name = name
        self.parent: AsyncResult[Any] | None = parent
        self.ignored: bool = ignored
        """True when the task was sent with ``ignore_result``: `get` then returns None at once, as in Celery."""
        self.reader: ResultReader = host_of(app).reader if reader is None else reader
        self._end: TaskResult | None = None

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def backend(self) -> ResultBackend:
        """The result store."""
        return self.reader.backend

    def get(
        self,
        timeout: Seconds | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002  Celery's order
        *,
        callback: Callable[[str, Any], Any] | None = None,
        disable_sync_subtasks: bool = True,
        **_celery_polling: Any,
    ) -> R_co:
        """Wait for the task to end and return its value.

        `timeout` is in seconds; None waits for ever. A task that failed raises its exception here, with the worker's
        traceback in the exception's notes, unless `propagate` is False: then the exception is returned. `callback` is
        called with id and value. Celery's options on polling (``interval``, ``no_ack`` ...) are accepted and without
        effect. Raises `celeriac.exceptions.TimeoutError`, `BackendError`, and RuntimeError inside a task (a task that
        waits for a task can block all slots; `allow_join_result` or ``disable_sync_subtasks=False`` permit it).
        """
        if self.ignored:
            return cast("R_co", None)
        if disable_sync_subtasks:
            refuse_in_task()
        return self._value(self._ended(timeout), propagate=propagate, callback=callback)

    wait = get

    async def aget(self, timeout: Seconds | None = None, *, propagate: bool = True) -> R_co:
        """Wait as `get` does, without blocking the event loop. Safe to call for thousands of results at once."""
        if self.ignored:
            return cast("R_co", None)
        if self._end is None:
            self._end = await self.reader.wait_async(self.id, timeout=timeout)
        return self._value(self._end, propagate=propagate, callback=None)

    @property
    def end(self) -> TaskResult | None:
        """How the task ended, as far as this handle has read it; the store is not asked."""
        return self._end

    def keep(self, end: TaskResult | None) -> None:
        """Take over what somebody has read for this handle; None forgets what it knows."""
        self._end = end

    @property
    def state(self) -> str:
        """The task's state now; PENDING also for an id that nobody knows."""
        return self._read().state

    status = state

    @property
    def result(self) -> Any:
        """The value, or the exception of a failed task, or what `update_state` set; None while there is nothing."""
        return self._read().result

    info = result

    @property
    def traceback(self) -> str | None:
        return self._read().traceback

    @property
    def date_done(self) -> datetime | None:
        """The moment at which the task ended (UTC)."""
        return self._read().date_done

    @property
    def children(self) -> list[Any] | None:
        """Handles on what the task sent while it ran, of a group a `GroupResult`; None until it has ended."""
        children = self._read().children
        return None if children is None else [self.reader.handle_on(one) for one in children]

    @property
    def name(self) -> str | None:
        """The task's name: who sent it knows it, others only with ``result_extended``, as the next five always."""
        return self._name or self._read().name

    @property
    def args(self) -> Any:
        return self._read().args

    @property
    def kwargs(self) -> Any:
        return self._read().kwargs

    @property
    def worker(self) -> str | None:
        return self._read().worker

    @property
    def retries(self) -> int | None:
        return self._read().retries

    @property
    def queue(self) -> str | None:
        return self._read().queue

    def ready(self) -> bool:
        """Tell whether the task has ended, well or not."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def maybe_throw(
        self,
        propagate: bool = True,  # noqa: FBT001, FBT002  Celery's order
        callback: Callable[[str, Any], Any] | None = None,
    ) -> Any:
        """Raise the task's exception if it has failed by now; return what `result` gives otherwise, without waiting.

        `callback` is called with id and value. With `propagate` False an exception is returned.
        """
        now = self._read()
        if propagate and now.state in states.PROPAGATE_STATES:
            raise _to_raise(now)
        if callback is not None:
            callback(self.id, now.result)
        return now.result

    maybe_reraise = maybe_throw

    @property
    def supports_native_join(self) -> bool:
        """True: every store wakes who waits."""
        return True

    def then(
        self,
        callback: Callable[[Self], Any],
        on_error: Callable[[Exception], Any] | None = None,
        weak: bool = False,  # noqa: ARG002, FBT001, FBT002  Celery's: handles are kept as long as needed
    ) -> None:
        """Call `callback` with this handle, once, when the task has ended, well or not. Does not wait.

        At once and in this thread when the handle knows the end already; else in the one thread of the application
        that waits for the results of all coroutines and callbacks, one call after the other. So be brief there, and
        give long work to a thread or a queue of your own. That thread does not keep a program from ending, and a
        forked child calls nothing back.

        `on_error` is called, in the same thread, with what `callback` raises, and in its place with a `BackendError`
        when the store is lost while it is waited for; without `on_error` this is logged. Raises `ImproperlyConfigured`
        when there is no store.
        """
        call_back([self], lambda: callback(self), on_error)

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:  # noqa: FBT001, FBT002  Celery's
        """Yield ``(parent, result)`` for all that followed from this task, breadth first, itself first with None.

        What followed is what a task sent while it ran (unless ``trail=False``), and what its chain, callbacks and chord
        sent after it: `children`. A group is one `GroupResult`, its members follow from it. Raises
        `celeriac.exceptions.IncompleteStream` when it comes to a result that has not ended, after it has yielded it;
        with `intermediate` it goes on with the others.
        """
        return descend(self, intermediate=intermediate)

    def collect(
        self,
        intermediate: bool = False,  # noqa: FBT001, FBT002  Celery's
        **of_get: Any,
    ) -> Iterator[tuple[Any, Any]]:
        """Yield ``(result, value)`` for this task and all that followed from it, as `iterdeps` does, waiting for each.

        Options are those of `get`: ``timeout`` is for each result, ``propagate=False`` yields exceptions as values.
        A task that keeps no result is waited for in vain. Raises what `get` raises.
        """
        for _, result in self.iterdeps(intermediate):
            yield result, result.get(**of_get)

    def get_leaf(self) -> Any:
        """Wait for this task and all that followed from it, and return the value of the last in breadth-first order."""
        return [value for _, value in self.collect()][-1]

    def build_graph(self, intermediate: bool = False) -> DependencyGraph:  # noqa: FBT001, FBT002  Celery's
        """Return what followed from this task as a graph, which Graphviz and Mermaid draw: ``.dot()``, ``.mermaid()``.

        `intermediate` and errors are those of `iterdeps`.
        """
        graph = DependencyGraph()
        for parent, result in self.iterdeps(intermediate):
            graph.add_arc(result)
            if parent is not None:
                graph.add_edge(parent, result)
        return graph

    @property
    def graph(self) -> DependencyGraph:
        """What `build_graph` returns, read anew."""
        return self.build_graph()

    def exists(self) -> bool:
        """Tell whether the store knows anything of this id."""
        return self._end is not None or self.id in self.reader.backend.fetch([self.id])

    def forget(self) -> None:
        """Remove the result from the store."""
        self._end = None
        self.reader.forget([self.id])

    def revoke(
        self,
        connection: Any = None,  # noqa: ARG002  Celery's; the application has its own
        terminate: bool = False,  # noqa: FBT001, FBT002  Celery's order
        signal: str | int | None = None,
        wait: bool = False,  # noqa: FBT001, FBT002
        timeout: Seconds | None = None,
    ) -> None:
        """See to it that the task does not run any more, or with `terminate` that it ends; `Control.revoke` says how.

        With `wait` nodes have `timeout` seconds (1) to say that they know. Raises what `Control.revoke` raises.
        """
        revoke = self.reader.revoker.revoke
        revoke([self.id], terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    def revoke_by_stamped_headers(  # noqa: PLR0913  Celery's signature
        self,
        headers: Mapping[str, Any],
        connection: Any = None,  # noqa: ARG002  Celery's
        terminate: bool = False,  # noqa: FBT001, FBT002  Celery's order
        signal: str | int | None = None,
        wait: bool = False,  # noqa: FBT001, FBT002
        timeout: Seconds | None = None,
    ) -> None:
        """Do as `revoke` for every task that has one of these stamps, as `Control.revoke_by_stamped_headers` says."""
        revoke = self.reader.revoker.revoke_by_stamped_headers
        revoke(headers, terminate=terminate, signal=signal, reply=wait, timeout=timeout)

    def as_tuple(self) -> tuple[Any, Any]:
        """Celery's nested form: ``((id, parent), children)``."""
        return told_line(self)

    def tree(self) -> Drawing:
        """Return a drawing of the workflow that led here, with the states of now: text, Mermaid, DOT.

        Raises `BackendError` kin.
        """
        return tree(self)

    def as_list(self) -> list[str]:
        """Return its id and those of the results that led to it, the nearest first."""
        return [each.id for each in line_of(self)]

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self.id
        return other.id == self.id if isinstance(other, AsyncResult) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> Self:
        return self.reader.handle_on(self.as_tuple())  # type: ignore[no-any-return]  # a handle like this one

    def __reduce__(self) -> Any:
        return _revived, (self.as_tuple(),)

    def _first_error(self) -> BaseException | None:
        """Return the error of the first that failed of those that led here, as Celery does; None where none did."""
        before = reversed(list(line_of(self.parent)))
        return next((error for one in before for error in errors_of(one)), None)

    def _ended(self, timeout: Seconds | None) -> TaskResult:
        if self._end is None:
            self._end = self.reader.wait(self.id, timeout=timeout)
        return self._end

    def _read(self) -> TaskResult:
        if self._end is not None:
            return self._end
        now = self.reader.read(self.id)
        if now.state in states.READY_STATES:
            self._end = now
        return now

    def _value(self, end: TaskResult, *, propagate: bool, callback: Callable[[str, Any], Any] | None) -> R_co:
        if propagate and end.state in states.PROPAGATE_STATES:
            raise self._first_error() or _to_raise(end)
        if callback is not None:
            callback(self.id, end.result)
        return cast("R_co", end.result)


def _revived(told: Any) -> Any:
    return host_of(None).reader.handle_on(told)


def errors_of(result: Any) -> Iterator[BaseException]:
    """Yield the errors of a result that has failed, or of those in a group of results."""
    for one in getattr(result, "results", None) or (result,):
        if one is not result and hasattr(one, "results"):
            yield from errors_of(one)
        elif one.state in states.PROPAGATE_STATES:
            yield _to_raise(one._read())  # noqa: SLF001  a handle like this one


def _to_raise(end: TaskResult) -> BaseException:
    """Return the task's exception with the worker's traceback as a note, once."""
    error: BaseException = end.result
    if not isinstance(end.result, BaseException):
        error = RemoteError(f"Task {end.task_id} ended as {end.state} without an exception: {end.result!r}")
    elif not isinstance(error, Exception):  # sys.exit() in a task ends the task, not who asks for its result
        error = TaskError(f"Task {end.task_id} was ended by {error!r}")
    note = f"\nTraceback of the worker:\n{end.traceback}" if end.traceback else None
    if note and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error
