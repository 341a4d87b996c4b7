"""``celeriac result``: show what became of a task."""

from __future__ import annotations

import click

from celeriac.cli.group import Command
from celeriac.cli.outcome import Outcome
from celeriac.cli.session import Session


@click.command("result", cls=Command)
@click.argument("task_id", metavar="ID")
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How long to wait for the task to end; 0 looks once.",
)
@click.option("--traceback", is_flag=True, help="Print the worker's traceback of a failed task.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(session: Session, task_id: str, timeout: float, traceback: bool, as_json: bool) -> None:
    """Print the result of the task ID.

    The exit code is 0 when the task succeeded, 1 when it failed or has not ended in time.
    """  # fmt: skip
    with session.open() as app:
        Outcome.wait_for(app.AsyncResult(task_id), timeout=timeout).show(as_json=as_json, traceback=traceback)
