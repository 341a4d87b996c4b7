"""What applications of Celery's have and this version lacks: each is an error that says what to do instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

_PERIODIC: Final = (
    "this version has no periodic tasks; `celery beat` may go on sending them over a broker that both use, or let cron"
    " run `celeriac call NAME`"
)
_CONNECTION: Final = "celeriac keeps its connections itself; app.broker is the store, app.send_task sends by name"
_BOOT: Final = "there are no boot steps; the signals worker_init, worker_process_init and worker_ready tell of a start"
_SIGNAL: Final = "do it in the module that makes the application, after its tasks"
_ROUTING: Final = "app.router knows queues and routes; the settings task_queues and task_routes make them"
_EVENTS: Final = "this version sends no events; signals tell of tasks inside the worker"

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "add_periodic_task": _PERIODIC,
    "Beat": _PERIODIC,
    "on_after_configure": _SIGNAL,
    "on_after_finalize": _SIGNAL,
    "on_after_fork": "celeriac opens its connections anew in a fork; worker_process_init is sent in each process",
    "on_configure": _SIGNAL,
    "connection": _CONNECTION,
    "connection_for_read": _CONNECTION,
    "connection_for_write": _CONNECTION,
    "connection_or_acquire": _CONNECTION,
    "broker_connection": _CONNECTION,
    "producer_or_acquire": _CONNECTION,
    "producer_pool": _CONNECTION,
    "pool": _CONNECTION,
    "amqp": _ROUTING,
    "select_queues": f"{_ROUTING}, and `celeriac worker -Q NAME` chooses",
    "backend": "app.AsyncResult(id) reads a result; app.results is the store",
    "events": _EVENTS,
    "log": "the signals setup_logging and after_setup_logger change a worker's log",
    "loader": "settings come from config_from_object, modules from `include` and autodiscover_tasks",
    "steps": _BOOT,
    "user_options": "the worker's command line takes no options of your own; read the environment in worker_init",
    "worker_main": "start the command `celeriac -A module worker`, from Python as a subprocess of it",
    "start": "start the command `celeriac -A module worker`",
    "Worker": "start the command `celeriac -A module worker`",
    "bugreport": "`celeriac report` prints it",
    "now": "datetime.now(UTC) says it; countdown and eta are counted in UTC",
    "prepare_config": "hand settings to config_from_object",
    "timezone": "app.conf.timezone names it",
}

_REMOTE: Final = (
    "workers of this version obey and answer to what revokes alone; `celeriac health` and `celeriac queues` tell how it"
    " stands"
)
_AT_START: Final = "a worker's queues and size are chosen at its start: `celeriac worker -Q NAMES -c NUMBER`"

_CONTROL_ATTRIBUTES: Final[Mapping[str, str]] = {
    "inspect": _REMOTE,
    "ping": _REMOTE,
    "heartbeat": _REMOTE,
    "election": _REMOTE,
    "Mailbox": _REMOTE,
    "add_consumer": _AT_START,
    "cancel_consumer": _AT_START,
    "autoscale": _AT_START,
    "pool_grow": _AT_START,
    "pool_shrink": _AT_START,
    "pool_restart": "stop the worker with SIGTERM, what runs may end, and start it again",
    "shutdown": "stop a worker with SIGTERM, what runs may end",
    "enable_events": _EVENTS,
    "disable_events": _EVENTS,
    "rate_limit": "give the task a queue of its own, and that a worker with few slots: `celeriac worker -Q NAME -c 1`",
    "time_limit": "the task and the call have the options time_limit and soft_time_limit",
    "purge": "`celeriac purge` removes waiting messages",
    "discard_all": "`celeriac purge` removes waiting messages",
}

_ARGUMENTS: Final[Mapping[str, str]] = {
    "loader": "settings come from config_from_object, modules from `include` and autodiscover_tasks",
    "amqp": _ROUTING,
    "events": "this version sends no events",
    "log": "the signals setup_logging and after_setup_logger change a worker's log",
    "control": "app.control is made by the application itself",
    "tasks": "register them with @app.task or app.register_task",
    "fixups": "Django is set up by django.setup() in the module that makes the application",
    "autofinalize": "tasks are made at once; leave it out",
}

_TASK_ATTRIBUTES: Final[Mapping[str, str]] = {
    "delay_on_commit": "celeriac has no Django integration yet; write transaction.on_commit(partial(task.delay, ...))",
    "apply_async_on_commit": (
        "celeriac has no Django integration yet; write transaction.on_commit(partial(task.apply_async, ...))"
    ),
    "send_event": "this version sends no events; task.update_state stores how far a task is",
    "on_bound": "override before_start, which is called before each run",
    "shadow_name": "give the call the option `shadow`",
    "backend": "task.AsyncResult(id) reads a result; app.results is the store",
}


class _Lack:
    """An attribute of Celery's that is not here: it says so, in its AttributeError.

    Not by `__getattr__`: a class that has one loses the interpreter's short cuts to every other attribute.
    """

    def __init__(self, name: str, what: str, instead: str) -> None:
        self._name = name
        self._what = what
        self._instead = instead

    def __get__(self, owner: object, _kind: type | None = None) -> NoReturn:
        text = f"{self._name!r} of {self._what} of Celery's is not in celeriac: {self._instead}."
        raise AttributeError(text, name=self._name, obj=owner)


class LackingApplication:
    """An application's base: an attribute of Celery's that is not here says so, in its AttributeError."""


class LackingTask:
    """A task's base: an attribute of Celery's that is not here says so, in its AttributeError."""


class LackingControl:
    """The base of ``app.control``: an attribute of Celery's that is not here says so, in its AttributeError."""


def _lack(kind: type, what: str, lacking: Mapping[str, str]) -> None:
    for name, instead in lacking.items():
        setattr(kind, name, _Lack(name, what, instead))  # behind the back of type checkers, who know no such attribute


_lack(LackingApplication, "an application", _ATTRIBUTES)
_lack(LackingTask, "a task", _TASK_ATTRIBUTES)
_lack(LackingControl, "app.control", _CONTROL_ATTRIBUTES)


def refuse_arguments(names: Iterable[str]) -> None:
    """Raise TypeError for an argument of Celery's application that would be without effect here."""
    for name in names:
        if name in _ARGUMENTS:
            raise TypeError(f"{name!r} is an argument of Celery's application that celeriac lacks: {_ARGUMENTS[name]}.")


def refuse_text(task: str, args: Any) -> None:
    """Raise TypeError for arguments that are one text: each of its characters would be an argument."""
    if isinstance(args, str | bytes):
        raise TypeError(f"Wrong arguments for task {task}: {args!r} is no list or tuple; write ({args!r},).")
