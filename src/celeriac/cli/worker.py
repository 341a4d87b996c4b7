"""``celeriac worker``: start a node."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import click

from celeriac.cli.errors import users_code
from celeriac.cli.group import Command
from celeriac.cli.output import note
from celeriac.cli.parameters import Names
from celeriac.cli.session import Session
from celeriac.settings.layers import Layer
from celeriac.settings.sources import read_arguments
from celeriac.worker.last_resort import end_without_other_threads
from celeriac.worker.options import WorkerOptions
from celeriac.worker.worker import Worker

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")

_WITHOUT_EFFECT: Final = {
    "optimization": "-O",
    "without_gossip": "--without-gossip",
    "without_mingle": "--without-mingle",
    "without_heartbeat": "--without-heartbeat",
    "heartbeat_interval": "--heartbeat-interval",
    "prefetch_multiplier": "--prefetch-multiplier",
    "disable_prefetch": "--disable-prefetch",
    "task_events": "--task-events",
    "statedb": "--statedb",
}
"""Options of Celery's worker that scripts use and that have no meaning here."""

_NOT_HERE: Final = {
    ("-B", "--beat"): "this version has no scheduler",
    ("-s", "--schedule", "--schedule-filename"): "this version has no scheduler",
    ("--scheduler",): "this version has no scheduler",
    ("--autoscale",): "say how many tasks run at once with -c",
    ("-D", "--detach"): "let systemd, a container or `nohup ... &` keep it in the background",
    ("--uid",): "start it as that user",
    ("--gid",): "start it as that group",
    ("--umask",): "set it before the start",
    ("--executable",): "start it with that interpreter: PYTHON -m celeriac",
}
"""Options of Celery's worker that would be missed: refused, with what to do."""

_FILE: Final = click.Path(dir_okay=False)
_COUNT: Final = click.IntRange(min=1)
_SPAN: Final = click.FloatRange(min=0, min_open=True)
_LIMITS: Final = (
    "task_time_limit",
    "task_soft_time_limit",
    "worker_max_tasks_per_child",
    "worker_max_memory_per_child",
)

_what_runs = (
    click.option("-P", "--pool", metavar="prefork|threads|solo",
                 help="How ordinary tasks run: prefork unless configured. `async def` tasks run beside them in any."),
    click.option("-c", "--concurrency", type=_COUNT, metavar="N",
                 help="How many ordinary tasks run at once; one per core unless configured."),
    click.option("--processes", type=_COUNT, metavar="N", help="So many processes ..."),
    click.option("--threads", type=_COUNT, metavar="N", help="... with so many threads each."),
    click.option("-Q", "--queues", type=Names(), default=(), help="Take from these queues only."),
    click.option("-X", "--exclude-queues", type=Names(), default=(), help="Take from all configured queues but these."),
    click.option("-I", "--include", type=Names(), default=(), help="Import these modules as well."),
    click.option("--purge", "--discard", is_flag=True, help="Remove all waiting messages from the queues first."),
)  # fmt: skip

_limits = (
    click.option("--time-limit", "task_time_limit", type=_SPAN, metavar="SECONDS",
                 help="End a task that runs longer, and replace its process (prefork), or cancel it (async)."),
    click.option("--soft-time-limit", "task_soft_time_limit", type=_SPAN, metavar="SECONDS",
                 help="Raise SoftTimeLimitExceeded in a task that runs longer."),
    click.option("--max-tasks-per-child", "worker_max_tasks_per_child", type=_COUNT, metavar="N",
                 help="Replace a process after so many tasks."),
    click.option("--max-memory-per-child", "worker_max_memory_per_child", type=_COUNT, metavar="KIB",
                 help="Replace a process that uses more memory after a task."),
)  # fmt: skip

_how_it_is_seen = (
    click.option("-n", "--hostname", metavar="NAME",
                 help="Name of the node; %h is the host, %n its first part, %d the rest."),
    click.option("-l", "--loglevel", type=click.Choice(_LEVELS, case_sensitive=False), default="WARNING",
                 show_default=True, help="What is logged."),
    click.option("-f", "--logfile", type=_FILE, help="Log to this file."),
    click.option("--pidfile", type=_FILE, help="Write the process id here; refuse to start while its process lives."),
)  # fmt: skip

_accepted = (
    click.option(
        "-O", "--optimization", metavar="NAME", help="Celery's; this and all below are accepted, without effect."
    ),
    click.option("--without-gossip", is_flag=True),
    click.option("--without-mingle", is_flag=True),
    click.option("--without-heartbeat", is_flag=True),
    click.option("--heartbeat-interval", metavar="SECONDS"),
    click.option("--prefetch-multiplier", metavar="N"),
    click.option("--disable-prefetch", is_flag=True),
    click.option("-E", "--task-events", "--events", "task_events", is_flag=True),
    click.option("-S", "--statedb", metavar="FILE"),
)


def _refused(*names: str, instead: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def refuse(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(f"{'/'.join(names)} is an option of Celery's worker: {instead}.", context)

    return click.option(*names, is_flag=False, flag_value="", expose_value=False, hidden=True, callback=refuse)


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed((*_what_runs, *_limits, *_how_it_is_seen, *_accepted)):
        function = option(function)
    for names, instead in _NOT_HERE.items():
        function = _refused(*names, instead=instead)(function)
    return function


@click.command("worker", cls=Command)
@_with_options
@click.argument("settings", nargs=-1, metavar="[-- SETTING=VALUE...]")
@click.pass_context
def command(context: click.Context, /, settings: tuple[str, ...], **options: Any) -> None:
    """Take tasks from the queues and run them, until told to stop.

    Ctrl-C or SIGTERM stops warmly: running tasks end first. A second one stops at once; what was running goes back to
    its queue. Settings may be given after --, as in: celeriac worker -- task_track_started=true
    """
    session: Session = context.obj
    ignored = [name for option, name in _WITHOUT_EFFECT.items() if options.pop(option)]
    if ignored:
        note(session, f"Without effect here: {', '.join(ignored)}.")
    given = {name: value for name in _LIMITS if (value := options.pop(name)) is not None}
    located = session.require()
    located.app.conf.read(given, layer=Layer.COMMAND_LINE, source="the command line")
    read_arguments(located.app.conf, map(_plain_name, settings))
    with users_code("A module with tasks"):  # the worker imports them too, but here an error is told as the user's
        for module in options["include"]:
            import_module(module)
        located.app.import_modules()
    code = Worker(located.app, WorkerOptions(app_spec=located.spec, **options)).run()
    end_without_other_threads(code)
    context.exit(code)


def _plain_name(argument: str) -> str:
    """Return ``name=value`` for Celery's dotted spellings: ``worker.concurrency=4``, ``.concurrency=4``."""
    name, equals, value = argument.partition("=")
    plain = f"worker{name}" if name.startswith(".") else name
    return f"{plain.replace('.', '_')}{equals}{value}"
