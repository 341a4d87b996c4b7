"""``celeriac dead list``: dead letters in a table, or as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from celeriac.app.base import Celeriac
from celeriac.app.dead_letters import task_of
from celeriac.cli.dead.choice import filters
from celeriac.cli.dead.letter import summary
from celeriac.cli.group import Command
from celeriac.cli.output import note, plain, span, write_json
from celeriac.cli.session import Session
from celeriac.cli.tables import console
from celeriac.interfaces.dead_letters import DeadLetter


@click.command("list", cls=Command)
@filters
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=50,
    show_default=True,
    help="Show at most so many.",
)
@click.option("--all", "everything", is_flag=True, help="Show all, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def command(session: Session, /, limit: int, everything: bool, as_json: bool, **wanted: Any) -> None:
    """List dead letters, the newest first."""
    with session.open() as app:
        letters = app.dead_letters.list(**wanted)
        shown = letters if everything else islice(letters, limit)
        if as_json:
            for letter in shown:
                write_json(summary(letter))
        else:
            _write_table(session, app, shown)
        if not everything and next(letters, None) is not None:
            note(session, f"There are more than {limit}: see --limit and --all.")


def _write_table(session: Session, app: Celeriac, letters: Iterator[DeadLetter]) -> None:
    first = next(letters, None)
    if first is None:
        note(session, f"No dead letter found on {app.broker.location}.")
        return
    console(session).print(_table(app, [first, *letters]))


def _table(app: Celeriac, letters: Iterable[DeadLetter]) -> Table:
    now = app.clock.now()
    table = Table(title=app.broker.location, title_justify="left")
    for heading in ("id", "queue", "task"):
        table.add_column(heading, overflow="fold")
    table.add_column("task id", overflow="fold")
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True, overflow="ellipsis")
    for letter in letters:
        name, task_id = task_of(letter)
        cells = (letter.id, letter.queue, name or "", task_id or "", span(max(0.0, now - letter.died)), letter.reason)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table
