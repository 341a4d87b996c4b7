"""The task: a function with a name, options, and ways to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

import msgspec

from celeriac.app.arguments import ArgumentCheck
from celeriac.app.composing import Composing
from celeriac.app.context import Context, running
from celeriac.app.declared import settle
from celeriac.app.dispatch import Call
from celeriac.app.eager import run_eagerly, stores_eager_results
from celeriac.app.host import Host
from celeriac.app.lacking import LackingTask, refuse_text
from celeriac.app.options import RetryOptions, SendOptions
from celeriac.app.retrying import AutoRetry
from celeriac.exceptions import ImproperlyConfigured, MaxRetriesExceededError, OperationalError, Retry
from celeriac.result.eager import EagerResult
from celeriac.result.handle import AsyncResult
from celeriac.result.joining import joining_forbidden
from celeriac.types import Args, Kwargs, Seconds

P = ParamSpec("P")
R = TypeVar("R")


class Task(Composing[P, R], LackingTask):
    """A callable that can also be sent to a worker.

    ``task(...)`` runs it here, `delay` and `apply_async` send it. Made by ``@app.task`` from a function, or by
    `app.register_task` from a subclass with a `run` method. One instance serves a whole process: attributes set on it
    stay (Celery's idiom for cached connections). Sending is thread-safe.

    Class attributes are the options and their defaults; None stands for the setting of the similar name.
    """

    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError

    name: str = ""
    max_retries: int | None = 3
    """How often `retry` may send it again; None for ever."""
    default_retry_delay: Seconds = 180.0
    autoretry_for: Sequence[type[BaseException]] = ()
    dont_autoretry_for: Sequence[type[BaseException]] = ()
    retry_kwargs: Mapping[str, Any] = {}
    """Options of the retry that ``autoretry_for`` makes, such as max_retries and countdown."""
    retry_backoff: bool | float = False
    """Seconds before the first automatic retry, doubled with each; True is 1 s."""
    retry_backoff_max: Seconds = 600.0
    retry_jitter: bool = True
    throws: Sequence[type[BaseException]] = ()
    """Exceptions that are part of the task's contract: logged in a line, without a traceback."""
    acks_late: bool | None = None
    acks_on_failure_or_timeout: bool | None = None
    reject_on_worker_lost: bool | None = None
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    store_eager_result: bool | None = None
    track_started: bool | None = None
    serializer: str | None = None
    compression: str | None = None
    priority: int | None = None
    expires: Seconds | datetime | timedelta | None = None
    time_limit: Seconds | None = None
    soft_time_limit: Seconds | None = None
    queue: Any = None
    exchange: Any = None
    routing_key: str | None = None
    rate_limit: str | float | None = None
    send_events: bool = True
    trail: bool = True
    typing: bool | None = None
    """Check the arguments against the function's signature before sending; None: the app's ``strict_typing``."""
    resultrepr_maxsize: int = 1024

    run: Callable[..., Any]
    """The function, with the task itself already given where it was made with ``bind=True``."""

    _host: Host | None = None
    _find_host: Callable[[], Host] | None = None
    _check: ArgumentCheck | None = None
    function: Callable[..., Any] | None = None
    bound: bool = False

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, function: Callable[..., Any], *, name: str, bind: bool, options: Mapping[str, Any]) -> Self:
        """Make a task from a function. Options that `Task` does not know become attributes, as in Celery."""
        task = cls()
        task.name = name
        task.function = function
        task.bound = bind
        for option, value in options.items():
            setattr(task, option, value)
        task.run = partial(function, task) if bind else function
        task._check = ArgumentCheck(function, skip_first=bind)
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__", "__wrapped__"):
            value = function if attribute == "__wrapped__" else getattr(function, attribute, None)
            if value is not None:
                setattr(task, attribute, value)
        return task

    def attach(self, host: Host) -> None:
        """Give the task to an application. Raises TypeError or ValueError for options that cannot be."""
        settle(self)
        self._host = host
        if self._check is None and "run" not in self.__dict__:
            self._check = ArgumentCheck(self.run, skip_first=False)

    def attach_late(self, find: Callable[[], Host]) -> None:
        """Let the task belong to whichever application `find` returns when it is used (`shared_task`)."""
        settle(self)
        self._find_host = find

    def copy_for(self, host: Host) -> Self:
        """Return the same task for another application."""
        copy = self.__class__.__new__(self.__class__)
        copy.__dict__.update(self.__dict__)
        if copy.bound and copy.function is not None:
            copy.run = partial(copy.function, copy)
        copy.attach(host)
        return copy

    @property
    def wraps_runs(self) -> bool:
        """Tell whether the class has a ``__call__`` of its own, which then is what a run calls."""
        return type(self).__call__ is not Task.__call__

    @property
    def is_async(self) -> bool:
        """Tell whether it is an ``async def``, which runs on an event loop."""
        import inspect  # noqa: PLC0415  ADR 0012

        return inspect.iscoroutinefunction(self.function or type(self).run)

    @property
    def origin(self) -> tuple[str, str]:
        """Module and qualified name of the function or class."""
        source = self.function or type(self)
        return (source.__module__, getattr(source, "__qualname__", type(source).__qualname__))

    @property
    def app(self) -> Host:
        """The application. Raises `ImproperlyConfigured` for a task that belongs to none."""
        if self._host is not None:
            return self._host
        if self._find_host is not None:
            return self._find_host()
        raise ImproperlyConfigured(f"Task {self.name or type(self).__name__} belongs to no app: app.register_task(it).")

    # -- calling ----------------------------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as a plain call.

        A class may override this to wrap every run: the worker then calls it, and ``super().__call__`` goes on with the
        run under way.
        """
        request = running.get()
        if request.calls is self:
            request.calls = None
            return cast("R", self.run(*args, **kwargs))
        token = running.set(Context())
        try:
            return cast("R", self.run(*args, **kwargs))
        finally:
            running.reset(token)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task with these arguments; return when the broker has it.

        Raises TypeError when the arguments do not fit the function, `EncodeError` when they cannot be written, and
        `BrokerError` when the broker did not take it within ``broker_publish_timeout`` seconds.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[R]:
        """Send the task with options; see `SendOptions` for these and `delay` for what is guaranteed and raised."""
        call = self._call(args or (), kwargs or {}, options)
        app = self._host or self.app
        if app.conf.task_always_eager:
            return self._run_instead(call)
        return app.dispatcher.send(call)

    def apply(  # noqa: PLR0913  Celery's signature
        self,
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        *,
        retries: int = 0,
        throw: bool | None = None,
        loglevel: int | None = None,
        logfile: str | None = None,
        **options: Unpack[SendOptions],
    ) -> EagerResult[R]:
        """Run the task here and now as a worker would, with a request, retries, handlers and signals.

        Retries follow at once; `retries` says how many there were before. `throw` raises what the task raises, a
        `Retry` included; None leaves that to ``task_eager_propagates``. Options say what the request shows: times,
        queue and priority change nothing. Results are stored only with ``task_store_eager_result``. An ``async def``
        gets a loop of its own.
        """
        task = self._serving()
        call = self.app.dispatcher.describe(Call(self.name, args or (), kwargs or {}, options, task))
        call = msgspec.structs.replace(call, retries=retries)
        return run_eagerly(task, call, throw=throw, loglevel=loglevel, logfile=logfile)

    def delay_many(self, calls: Iterable[Args]) -> list[AsyncResult[R]]:
        """Send one task for each tuple of arguments, in pipelines; return the results in order.

        Far faster than a loop of `delay`. Raises `SendIncomplete`, naming the positions that the broker has not, when
        only a part could be stored.
        """
        return self.apply_async_many((args, {}) for args in calls)

    def apply_async_many(
        self, calls: Iterable[tuple[Args, Kwargs]], **options: Unpack[SendOptions]
    ) -> list[AsyncResult[R]]:
        """Send one task for each pair of args and kwargs, all with the same options; see `delay_many`."""
        prepared = [self._call(args, kwargs, options) for args, kwargs in calls]
        if self.app.conf.task_always_eager:
            return [self._run_instead(call) for call in prepared]
        return self.app.dispatcher.send_many(prepared)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send as `delay` does, without blocking the event loop; concurrent sends share a round trip."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self, args: Args | None = None, kwargs: Kwargs | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[R]:
        """Send as `apply_async` does, without blocking the event loop; concurrent sends share a round trip."""
        call = self._call(args or (), kwargs or {}, options)
        if self.app.conf.task_always_eager:
            import asyncio  # noqa: PLC0415  see `Dispatcher.send_async`

            return await asyncio.to_thread(self._run_instead, call)
        return await self.app.dispatcher.send_async(call)

    def AsyncResult(self, task_id: str) -> AsyncResult[R]:  # noqa: N802  Celery's name
        """Return the handle on the result of that id."""
        return AsyncResult(task_id, self.app.reader)

    # -- inside a run -----------------------------------------------------------------------------------------------

    @property
    def request(self) -> Context:
        """The call that runs here; neutral values outside a run."""
        return running.get()

    def retry(  # noqa: PLR0913  Celery's signature
        self,
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        exc: BaseException | None = None,
        throw: bool = True,  # noqa: FBT001, FBT002  Celery's order
        eta: datetime | str | None = None,
        countdown: Seconds | None = None,
        max_retries: int | None = None,
        **options: Unpack[RetryOptions],
    ) -> Retry:
        """Try the running task again later: ``raise self.retry(exc=error)``.

        The new message replaces the running one when this run ends, so it is neither lost nor doubled by a crash.
        Waits `countdown` seconds or until `eta`, else ``default_retry_delay``. When the task was tried `max_retries`
        times before (None: the task's own), `exc` is raised, or `MaxRetriesExceededError` without one. With
        ``throw=False`` the `Retry` is returned, and the message is sent when the task ends, whatever it returns. In a
        run in the caller the next try follows at once, when the `Retry` is raised.
        Outside a run it raises `exc`, or a `Retry` that explains.
        """
        request = self.request
        if request.called_directly:
            raise exc or Retry(f"{self.name}.retry() was called outside a run: only a running task can be retried.")
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            raise exc or _exhausted(self.name, request)
        if countdown is None and eta is None:
            countdown = self.default_retry_delay
        given = cast("SendOptions", {**options, "eta": eta, "countdown": countdown})
        retry = Retry(exc=exc, when=countdown if eta is None else eta)
        dispatcher = self.app.dispatcher
        if request.is_eager:
            retry.outgoing = dispatcher.next_try(request, args=args, kwargs=kwargs, options=given)
        else:
            retry.outgoing = dispatcher.again(request, self, args=args, kwargs=kwargs, options=given)
        if throw:
            raise retry from exc
        if not request.is_eager:
            request.follow_ups.append(retry.outgoing)
        return retry

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None) -> None:
        """Store a state of your own for the running task, with `meta` as its result, for instance its progress.

        A run in the caller (`apply`, ``task_always_eager``) stores it only with ``task_store_eager_result``.
        """
        task_id = task_id or self.request.id
        if task_id is None:
            raise ImproperlyConfigured(f"{self.name}.update_state() outside a run needs a task_id.")
        if self.request.is_eager and not stores_eager_results(self):
            return
        reply_to = self.request.reply_to if task_id == self.request.id else None
        self.app.writer.write_state(task_id, state or "PROGRESS", meta, reply_to=reply_to)

    # -- handlers, for subclasses -----------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Args, kwargs: Kwargs) -> None:
        """Override: called in the worker before each run."""

    def on_success(self, retval: Any, task_id: str, args: Args, kwargs: Kwargs) -> None:
        """Override: called in the worker after a run that returned."""

    def on_failure(self, exc: BaseException, task_id: str, args: Args, kwargs: Kwargs, einfo: Any) -> None:
        """Override: called in the worker when the task failed for good; not when it is retried."""

    def on_retry(self, exc: BaseException, task_id: str, args: Args, kwargs: Kwargs, einfo: Any) -> None:
        """Override: called in the worker when the task will be tried again."""

    def after_return(  # noqa: PLR0913  Celery's signature
        self, status: str, retval: Any, task_id: str, args: Args, kwargs: Kwargs, einfo: Any
    ) -> None:
        """Override: called in the worker after a run that ended the task, well or not; not when it is retried."""

    # -- for the worker ---------------------------------------------------------------------------------------------

    def auto_retry(self) -> AutoRetry | None:
        """Return the policy of ``autoretry_for``; None when the task states none."""
        if not self.autoretry_for:
            return None
        return AutoRetry(
            catch=self.autoretry_for,
            spare=self.dont_autoretry_for,
            options=self.retry_kwargs,
            backoff=self.retry_backoff,
            backoff_max=self.retry_backoff_max,
            jitter=self.retry_jitter,
        )

    def takes_more_than(self, count: int, kwargs: Kwargs) -> bool:
        """Tell whether it can be called with more than so many arguments beside these; never if it is bound."""
        return not self.bound and self._check is not None and self._check.room(kwargs) > count

    def __repr__(self) -> str:
        return f"<Task: {self.name}>"

    def _call(self, args: Args, kwargs: Kwargs, options: SendOptions) -> Call:
        if type(args) is not tuple:
            refuse_text(self.name, args)
        if self._check is not None and self.typing is not False:
            try:
                self._check(args, kwargs)
            except TypeError as error:
                raise TypeError(f"Wrong arguments for task {self.name}: {error}.") from None
        task = self if self._host is not None else self._serving()
        return Call(name=self.name, args=args, kwargs=kwargs, options=options, task=task)

    def _serving(self) -> Task[..., Any]:
        """Return the task that speaks: of a shared one the current application's copy, which has its annotations."""
        return self if self._host is not None else cast("Task[..., Any]", self.app.tasks.get(self.name, self))

    def _run_instead(self, call: Call) -> EagerResult[R]:
        """Run a call that was to be sent, with arguments that went through the serializer as they would have."""
        written = self.app.dispatcher.rehearse(call)
        forbidden = joining_forbidden.set(True)
        try:
            return run_eagerly(self._serving(), written)
        finally:
            joining_forbidden.reset(forbidden)


def _exhausted(name: str, request: Context) -> MaxRetriesExceededError:
    return MaxRetriesExceededError(
        f"Can't retry {name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
        task_args=request.args,
        task_kwargs=request.kwargs,
    )
