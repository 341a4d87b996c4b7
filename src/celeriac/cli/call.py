"""``celeriac call``: send a task by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from celeriac.app.base import Celeriac
from celeriac.cli.group import Command
from celeriac.cli.outcome import Outcome
from celeriac.cli.output import note, write_json
from celeriac.cli.parameters import Json, Moment, MomentOrSeconds
from celeriac.cli.session import Session
from celeriac.exceptions import CeleriacError


@click.command("call", cls=Command)
@click.argument("name")
@click.option("-a", "--args", type=Json(list), metavar="JSON", help="Positional arguments, as a JSON array.")
@click.option("-k", "--kwargs", type=Json(dict), metavar="JSON", help="Keyword arguments, as a JSON object.")
@click.option("--eta", type=Moment(), help="Do not start before this moment (UTC where no offset is named).")
@click.option("--countdown", type=float, metavar="SECONDS", help="Do not start before so many seconds.")
@click.option("--expires", type=MomentOrSeconds(), help="Do not start after this.")
@click.option("--queue", metavar="NAME", help="Send to this queue.")
@click.option("--exchange", metavar="NAME", help="Send to this exchange (RabbitMQ).")
@click.option("--routing-key", metavar="KEY", help="Send with this routing key.")
@click.option("--priority", type=click.IntRange(0, 255), metavar="N", help="How urgent it is, 0 to 9 as a rule.")
@click.option("--serializer", metavar="NAME", help="How the arguments are written; json unless configured.")
@click.option("--task-id", metavar="ID", help="Use this id instead of a new one.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it after the id.")
@click.option("--timeout", type=float, metavar="SECONDS", default=60.0, show_default=True, help="How long to --wait.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(  # noqa: PLR0913  one argument per option
    session: Session,
    /,
    name: str,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    wait: bool,
    timeout: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the task NAME, and print its id when the broker has it.

    The task need not be known here: a worker that knows it runs it. With --wait the exit code is 0 when the task
    succeeded and 1 when it failed or did not end in time.
    """
    with session.open() as app:
        given = {option: value for option, value in options.items() if value is not None}
        try:
            result = app.send_task(name, args, kwargs, **given)
        except CeleriacError:
            raise
        except (TypeError, ValueError) as error:  # a name or an option that no task can have
            raise click.UsageError(str(error)) from error
        _hint(session, app, name)
        if not wait:
            write_json({"id": result.id}) if as_json else click.echo(result.id)
            return
        if not as_json:
            click.echo(result.id)
        pending = f"it has not ended after {timeout:g} s; see that a worker serves its queue (celeriac queues)."
        Outcome.wait_for(result, timeout=timeout).show(as_json=as_json, pending=pending)


def _hint(session: Session, app: Celeriac, name: str) -> None:
    """Name the tasks that may have been meant, where the application has none of this name."""
    if name in app.tasks:
        return
    near = sorted(known for known in app.tasks if known.endswith(f".{name}")) or get_close_matches(name, app.tasks)
    if near:
        note(session, f"It was sent, but no task here is called {name}: did you mean {' or '.join(near)}?")
