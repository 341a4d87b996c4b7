"""The command ``celeriac``: its options, and the table of its subcommands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from celeriac import __version__
from celeriac.cli.group import Commands, Entry, global_options
from celeriac.cli.session import Session

TABLE: Final = {
    "worker": Entry("celeriac.cli.worker", "Start a worker."),
    "call": Entry("celeriac.cli.call", "Send a task by name."),
    "result": Entry("celeriac.cli.result", "Show what became of a task."),
    "health": Entry("celeriac.cli.health", "Tell whether a worker of this machine does its work."),
    "queues": Entry("celeriac.cli.queues", "Show how the queues stand."),
    "purge": Entry("celeriac.cli.purge", "Remove waiting messages from queues."),
    "dead": Entry("celeriac.cli.dead.command", "Look at dead letters, give them back, remove them."),
    "report": Entry("celeriac.cli.report", "Show versions, settings and whether the stores answer."),
    "shell": Entry("celeriac.cli.shell", "Open a Python prompt with the application."),
    "completion": Entry("celeriac.cli.completion", "Print the script for the shell's completion."),
    "demo": Entry("celeriac.cli.demo.command", "Run a worker and a few dozen tasks in a temporary place."),
}
"""Modules are imported when their command is used, so that every command starts fast; each has one `command`."""

_NO_CONTROL: Final = (
    "this version has no remote control but `app.control.revoke` in code; "
    "`celeriac health` and `celeriac queues` tell how it stands"
)
_NOT_HERE: Final = "this version does not have it"
ABSENT: Final = {
    "inspect": _NO_CONTROL,
    "control": _NO_CONTROL,
    "status": _NO_CONTROL,
    "events": "this version sends no events",
    "flower": "it shows events, which this version does not send; `celeriac queues --watch` shows the queues",
    "beat": "this version has no periodic tasks; `celery beat` may go on sending them on a broker that both use",
    "multi": "start each worker by your process manager, with a name of its own (-n)",
} | dict.fromkeys(("migrate", "graph", "logtool", "amqp", "list", "upgrade"), _NOT_HERE)
"""Celery's commands that are not here, and what to do instead."""


@click.command(cls=Commands, table=TABLE, absent=ABSENT, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="celeriac", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, /, **given: str | Path | bool | None) -> None:
    """A distributed task queue with Celery's API and wire format.

    Options on this level may also be written after the command. Environment: CELERIAC_APP (or CELERY_APP) names the
    application, NO_COLOR and FORCE_COLOR decide on colour. The file pyproject.toml may name the application as well:
    app = "proj.celery:app" under [tool.celeriac].
    """
    context.obj = Session().with_options(**given)


cli.params[:0] = global_options(from_environment=True)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 used wrongly, 69 broker or backend unavailable."""
    cli(prog_name="celeriac")
