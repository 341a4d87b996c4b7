"""``celeriac dead purge``: remove dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from celeriac.app.base import Celeriac
from celeriac.cli.dead.choice import Choice, as_json, counted, fail_for, filters, tell
from celeriac.cli.group import Command
from celeriac.cli.output import ask
from celeriac.cli.session import Session


@click.command("purge", cls=Command)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def command(
    session: Session, /, ids: tuple[str, ...], everything: bool, force: bool, as_json: bool, **wanted: Any
) -> None:
    """Remove dead letters, after asking. There is no undo. The stored results of their tasks stay."""
    choice = Choice.of(ids, wanted, everything=everything)
    with session.open() as app:
        if choice.ids or wanted["task"] or wanted["reason"]:
            found = choice.ids or [letter.id for letter in app.dead_letters.list(**wanted)]
            _remove(app, choice, found, force=force, as_json=as_json)
        else:
            if not force:
                _ask(app, f"all dead letters{choice}")
            removed = app.dead_letters.purge(queue=wanted["queue"], older_than=wanted["older_than"])
            tell(removed, "removed", as_json=as_json)


def _remove(app: Celeriac, choice: Choice, ids: Sequence[str], *, force: bool, as_json: bool) -> None:
    if ids and not force:
        _ask(app, f"{counted(len(ids))}{choice}")
    settled = app.dead_letters.remove(ids)
    tell(settled.done, "removed", settled.missing, as_json=as_json)
    if choice.ids:
        fail_for(settled.missing)


def _ask(app: Celeriac, what: str) -> None:
    ask(f"Remove {what} on {app.broker.location} for ever?")
