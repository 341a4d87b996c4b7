"""The application: settings, tasks, and the parts that send them and read their results."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from importlib import import_module
from types import TracebackType
from typing import Any, Self, Unpack

from celeriac.app.ambient import choose_host, set_current_host
from celeriac.app.builtins import builtin_tasks
from celeriac.app.configuration import Configuration
from celeriac.app.control import Control
from celeriac.app.dead_letters import DeadLetterOffice
from celeriac.app.decorator import TaskDecorator, as_task
from celeriac.app.discovery import Discovery
from celeriac.app.dispatch import Call, Dispatcher
from celeriac.app.lacking import LackingApplication, refuse_text
from celeriac.app.making import annotate, refuse_mistyped, resolve_class
from celeriac.app.moments import Moments
from celeriac.app.naming import task_name
from celeriac.app.options import SendOptions
from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.app.registry import TaskRegistry
from celeriac.app.shared import shared_tasks
from celeriac.app.stores import Stores
from celeriac.app.task import Task
from celeriac.app.workflows import Workflows
from celeriac.canvas.signature import Signature, signature
from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.exceptions import AlwaysEagerIgnored
from celeriac.interfaces.broker import Broker
from celeriac.interfaces.coordinator import Coordinator
from celeriac.interfaces.groups import GroupStore
from celeriac.interfaces.pubsub import PubSub
from celeriac.interfaces.results import ResultBackend
from celeriac.result.groups import GroupKeeper, GroupMaker, from_tuple
from celeriac.result.handle import AsyncResult
from celeriac.result.reader import ResultReader
from celeriac.result.sets import ResultSet
from celeriac.result.writer import ResultWriter
from celeriac.routing.router import Router
from celeriac.settings.conf import Settings
from celeriac.types import Args, Kwargs
from celeriac.wire.content import accepted


class Celeriac(LackingApplication):
    """An application: register tasks with ``@app.task``, send them, read their results.

    `main` is the name that stands for ``__main__`` in task names. `broker` and `backend` are URLs; with neither, tasks
    and results are kept in the file ``celeriac.db`` of the project or the working directory. Other keywords are
    settings. Making an application connects to nothing; the first use does. One application may be used from any
    number of threads, and after a fork. As a context manager it closes its connections at the end.
    """

    def __init__(  # noqa: PLR0913  Celery's signature
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] | None = None,
        config_source: Any = None,
        namespace: str | None = None,
        changes: Mapping[str, Any] | None = None,
        task_cls: type[Task[..., Any]] | str | None = None,
        set_as_current: bool = True,
        strict_typing: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        **settings: Any,
    ) -> None:
        refuse_mistyped(settings)
        self.main = main
        self.clock = clock
        self._registry = TaskRegistry()
        self._strict_typing = strict_typing
        given = {"broker_url": broker, "result_backend": backend, "include": tuple(include) if include else None}
        named = {name: value for name, value in given.items() if value is not None}
        self._configuration = Configuration({**(changes or {}), **settings, **named})
        if config_source is not None:
            self._configuration.add(config_source, namespace=namespace)
        base = resolve_class(task_cls) if task_cls is not None else Task
        self.task: TaskDecorator = TaskDecorator(
            self._register_first, name_of=lambda function: task_name(function, main=main), default_base=base
        )
        self._finalized = self._has_builtins = False
        self._discovery = Discovery()
        if set_as_current:
            set_current_host(self)

    # -- configuration ----------------------------------------------------------------------------------------------

    @cached_property
    def conf(self) -> Settings:
        """The settings; read from their sources on first use, see docs/settings.md for their order."""
        return self._configuration.settings

    def config_from_object(
        self,
        obj: Any,
        silent: bool = False,  # noqa: FBT001, FBT002  Celery's order
        force: bool = False,  # noqa: FBT001, FBT002
        namespace: str | None = None,
    ) -> None:
        """Read settings from an object, a mapping, or a module by name (``'proj.settings'``, ``'module:attr'``).

        With `namespace` only names with that prefix count (``CELERY_BROKER_URL``). Read on first use of `conf`; at
        once with `force`. `silent` passes over a module that does not exist.
        """
        self._configuration.add(obj, namespace=namespace, silent=silent)
        if force:
            _ = self._configuration.settings

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Read settings from the module that an environment variable names; False when it is not set."""
        name = os.environ.get(variable_name)
        if not name:
            if silent:
                return False
            raise KeyError(f"The environment variable {variable_name} is not set; it should name a module of settings.")
        self.config_from_object(name, silent=silent, force=force)
        return True

    def add_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Set what counts only where nothing else was said."""
        self.conf.add_defaults(defaults)

    # -- tasks ------------------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name, with Celery's built-in ones and the shared ones that were imported so far."""
        if not self._has_builtins:
            self._has_builtins = True
            for builtin in builtin_tasks(self):
                builtin.attach(self)
                self._registry.register(builtin)
        for task in shared_tasks():
            if task.name not in self._registry:
                copy = task.copy_for(self)
                self._registry.register(copy)
                self._annotate_late(copy)
        return self._registry

    def register_task(self, task: Any) -> Task[..., Any]:
        """Register a task made from a class with a `run` method (an instance or the class); return the instance."""
        made = as_task(task)
        made.name = made.name or task_name(type(made), main=self.main)
        made.attach(self)
        self._registry.register(made)
        self._annotate_late(made)
        return made

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,  # noqa: FBT001, FBT002  Celery's order
    ) -> None:
        """Import the module `related_name` of each package when a worker starts, or at once with `force`.

        A package that has no such module is imported all the same; with `related_name` None that is all.
        """
        self._discovery.add(packages, related_name)
        if force:
            self._discovery.run()

    def import_modules(self) -> None:
        """Import what ``imports``, ``include`` and `autodiscover_tasks` name. Errors in them are raised."""
        for name in (*self.conf.imports, *self.conf.include):
            import_module(name)
        self._discovery.run()

    def finalize(self) -> None:
        """Apply ``task_annotations``, from now on to new tasks at once. Called by itself when the app is first used."""
        tasks = self.tasks
        if not self._finalized:
            self._finalized = True
            annotate(tasks.values(), self.conf.task_annotations)

    # -- calling ----------------------------------------------------------------------------------------------------

    def send_task(
        self, name: str, args: Args | None = None, kwargs: Kwargs | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[Any]:
        """Send a task by name; it need not be known here. See `Task.apply_async`.

        It is sent also with ``task_always_eager``, and warns then: what is known by name alone cannot run here.
        """
        if self.conf.task_always_eager:
            warnings.warn(AlwaysEagerIgnored(f"{name} is sent: task_always_eager is not for send_task."), stacklevel=2)
        refuse_text(name, args)
        return self.dispatcher.send(Call(name, args or (), kwargs or {}, options, self.tasks.get(name)))

    @property
    def GroupResult(self) -> GroupMaker:  # noqa: N802  Celery's name
        """What makes handles on groups, and restores them."""
        return GroupMaker(self.keeper)

    def signature(self, varies: Any, *args: Any, **kwargs: Any) -> Signature[Any, Any]:
        """Return a signature of this application's; see `celeriac.signature`."""
        return signature(varies, *args, **{**kwargs, "app": self})

    def ResultSet(self, results: Iterable[AsyncResult[Any]] = ()) -> ResultSet[Any]:  # noqa: N802  Celery's name
        """Return the results as a set, which reads many of them in one trip."""
        return ResultSet(results)

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802  Celery's name
        """Return the handle on the result of that id."""
        return AsyncResult(task_id, self.reader)

    # -- parts ------------------------------------------------------------------------------------------------------

    @cached_property
    def stores(self) -> Stores:
        """The stores that the settings name."""
        return Stores(self.conf, clock=self.clock, find_queue=lambda name: self.router.queues.get(name))  # noqa: PLW0108  made when it is asked

    @property
    def broker(self) -> Broker:
        return self.stores.broker

    @property
    def pubsub(self) -> PubSub | None:
        return self.stores.pubsub

    @property
    def coordinator(self) -> Coordinator | None:
        return self.stores.coordinator

    @property
    def results(self) -> ResultBackend | None:
        return self.stores.results

    @property
    def groups(self) -> GroupStore | None:
        return self.stores.groups

    @cached_property
    def keeper(self) -> GroupKeeper:
        """Where groups are saved."""
        return GroupKeeper(lambda: self.groups, self.reader, ttl=self.stores.result_ttl)

    @cached_property
    def workflows(self) -> Workflows:
        """What sends chains, groups and chords."""
        return Workflows(
            self.conf,
            tasks=self.tasks,
            dispatcher=self.dispatcher,
            publisher=self.publisher,
            keeper=self.keeper,
            clock=self.clock,
        )

    @cached_property
    def dead_letters(self) -> DeadLetterOffice:
        """The messages that could not be worked on: to look at, to give back, to remove."""
        conf = self.conf
        return DeadLetterOffice(
            lambda: self.stores.dead_letters,
            results=lambda: self.stores.results,
            coordinator=lambda: self.coordinator,
            serializer=conf.result_serializer,
            accept=self._accepted_results,
            clock=self.clock,
        )

    @cached_property
    def control(self) -> Control:
        """Remote control of workers: what revokes tasks, and what broadcasts."""
        prefix, ttl = self.conf.control_exchange, self.conf.task_revoke_expires
        return Control(lambda: self.pubsub, lambda: self.stores.revocations, prefix=prefix, ttl=ttl)

    @cached_property
    def router(self) -> Router:
        """Queues and routes as configured."""
        return Router(self.conf)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What sends calls."""
        self.finalize()
        conf = self.conf
        moments = Moments(self.clock, timezone=conf.timezone)
        origin = f"gen{os.getpid()}@{platform.node()}"
        return Dispatcher(
            conf,
            publisher=self.publisher,
            router=self.router,
            reader=self.reader,
            moments=moments,
            origin=origin,
        )

    @cached_property
    def publisher(self) -> Publisher:
        """What hands messages to the broker within a bounded time."""
        conf = self.conf
        policy = PublishPolicy(budget=conf.broker_publish_timeout)
        publisher = Publisher(partial(getattr, self.stores, "broker"), policy=policy, clock=self.clock)
        default = publisher.policy(retry=conf.task_publish_retry, changes=conf.task_publish_retry_policy)
        return Publisher(partial(getattr, self.stores, "broker"), policy=default, clock=self.clock)

    @cached_property
    def reader(self) -> ResultReader:
        """What reads results."""
        conf, accept, handle_on = self.conf, self._accepted_results, lambda told: from_tuple(told, self.keeper)
        # Real time, whatever the application's clock says: a wait blocks for real, see `celeriac.testing.clock`.
        return ResultReader(
            partial(getattr, self.stores, "results"),
            serializer=conf.result_serializer,
            accept=accept,
            handle_on=handle_on,
            revoker=lambda: self.control,
        )

    @cached_property
    def writer(self) -> ResultWriter:
        """What writes results."""
        conf = self.conf
        return ResultWriter(
            partial(getattr, self.stores, "results"),
            serializer=conf.result_serializer,
            ttl=self.stores.result_ttl,
            extended=conf.result_extended,
            max_bytes=conf.result_max_bytes,
            clock=self.clock,
        )

    def queue_names(self) -> list[str]:
        """Return the names of the configured queues, the default one included."""
        return [queue.name for queue in self.router.select()]

    def queues_of_tasks(self) -> list[str]:
        """Return the names of the queues that tasks name themselves (``@app.task(queue=...)``), sorted."""
        named = (task.queue for task in self.tasks.values() if task.queue is not None)
        return sorted({queue if isinstance(queue, str) else queue.name for queue in named})

    def close(self) -> None:
        """Send what is pending and let go of all connections. The app may be used again afterwards."""
        if "dispatcher" in self.__dict__:
            self.dispatcher.close()
        if "stores" in self.__dict__:
            self.stores.close()

    def set_current(self) -> None:
        """Make this the current application of this thread."""
        choose_host(self)

    def set_default(self) -> None:
        """Make this the current application of the process."""
        set_current_host(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Celeriac {self.main or '__main__'}>"

    @property
    def _accepted_results(self) -> frozenset[str]:
        conf = self.conf
        return accepted(conf.accept_content if conf.result_accept_content is None else conf.result_accept_content)

    def _register_first(self, task: Task[..., Any]) -> Task[..., Any]:
        task.attach(self)
        if task.typing is None and not self._strict_typing:
            task.typing = False
        registered = self._registry.register_first(task, origin=task.origin)
        if registered is task:
            self._annotate_late(task)
        return registered

    def _annotate_late(self, task: Task[..., Any]) -> None:
        if self._finalized:
            annotate([task], self.conf.task_annotations)

    @property
    def Task(self) -> type[Task[..., Any]]:  # noqa: N802  Celery's name; last, so that it hides no annotation
        """The class of this application's tasks, to derive from and to replace: for tasks declared after that."""
        return self.task.default_base

    @Task.setter
    def Task(self, base: type[Task[..., Any]] | str) -> None:  # noqa: N802
        self.task.default_base = resolve_class(base)


Celery = Celeriac
"""The same class, so that ``from celeriac import Celery`` is all that a move needs."""
