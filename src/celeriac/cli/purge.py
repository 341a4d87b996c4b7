"""``celeriac purge``: remove waiting messages from queues."""

from __future__ import annotations

import click

from celeriac.cli.group import Command
from celeriac.cli.output import ask, note, write_json
from celeriac.cli.parameters import Names
from celeriac.cli.session import Session


@click.command("purge", cls=Command)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-Q", "--queues", type=Names(), help="These queues instead of the application's.")
@click.option("-X", "--exclude-queues", type=Names(), default=(), help="All but these.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: queue to number removed. Implies --force."
)
@click.pass_obj
def command(
    session: Session, force: bool, queues: tuple[str, ...] | None, exclude_queues: tuple[str, ...], as_json: bool
) -> None:
    """Remove all ready and delayed messages from the application's queues. There is no undo.

    These are the configured queues and those that its tasks name. Messages that a worker holds stay: they are being
    worked on.
    """
    with session.open_with_tasks() if queues is None else session.open() as app:
        own = [*app.queue_names(), *app.queues_of_tasks()]
        names = [name for name in (queues or dict.fromkeys(own)) if name not in exclude_queues]
        if not names:
            raise click.UsageError("No queue is left to purge.")
        broker = app.broker
        if not force and not as_json:
            waiting = sum(stats.ready + (stats.delayed or 0) for stats in broker.stats(names).values())
            if not waiting:
                click.echo(f"Nothing waits in {', '.join(names)} on {broker.location}.")
                return
            question = f"Remove {_counted(waiting)} from {', '.join(names)} on {broker.location} for ever?"
            ask(question)
        removed = {name: broker.purge(name) for name in names}
        if as_json:
            write_json(removed)
            return
        for name, count in removed.items():
            click.echo(f"{name}: {count} removed")
        note(session, f"{_counted(sum(removed.values()))} removed.")


def _counted(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"
