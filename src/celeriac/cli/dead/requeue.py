"""``celeriac dead requeue``: give dead letters back to their queues."""

from __future__ import annotations

from typing import Any

import click

from celeriac.app.base import Celeriac
from celeriac.cli.dead.choice import Choice, as_json, counted, fail_for, filters, tell
from celeriac.cli.group import Command
from celeriac.cli.output import ask, note
from celeriac.cli.session import Session


@click.command("requeue", cls=Command)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def command(
    session: Session, /, ids: tuple[str, ...], everything: bool, force: bool, as_json: bool, **wanted: Any
) -> None:
    """Put the messages back at the end of the line of their queues, to be run as if for the first time.

    Their crashes are forgotten, and so are the stored failures: the tasks are PENDING again. Without ids it asks first.
    """
    choice = Choice.of(ids, wanted, everything=everything)
    with session.open() as app:
        if choice.ids:
            settled = app.dead_letters.requeue(choice.ids)
            tell(settled.done, "given back", settled.missing, as_json=as_json)
            fail_for(settled.missing)
        else:
            _give_back(session, app, choice, force=force, as_json=as_json)


def _give_back(session: Session, app: Celeriac, choice: Choice, *, force: bool, as_json: bool) -> None:
    """Give back those that are there now, the oldest first: no more than the user has agreed to."""
    found = [letter.id for letter in app.dead_letters.list(**choice.filters)]
    if found and not force:
        question = f"Give back {counted(len(found))}{choice} on {app.broker.location}?"
        ask(question)
    settled = app.dead_letters.requeue(reversed(found))
    tell(settled.done, "given back", settled.missing, as_json=as_json)
    if settled.missing:
        note(session, f"{len(settled.missing)} were given back or removed by others meanwhile.")
