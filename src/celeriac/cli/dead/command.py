"""``celeriac dead``: the table of its commands."""

from __future__ import annotations

from typing import Final

import click

from celeriac.cli.group import Entry, Subcommands

TABLE: Final = {
    "list": Entry("celeriac.cli.dead.listing", "List dead letters."),
    "show": Entry("celeriac.cli.dead.show", "Show all of some dead letters."),
    "requeue": Entry("celeriac.cli.dead.requeue", "Give dead letters back to their queues."),
    "purge": Entry("celeriac.cli.dead.purge", "Remove dead letters."),
}


@click.command("dead", cls=Subcommands, table=TABLE)
def command() -> None:
    """Look at dead letters, give them back, remove them.

    A message that cannot be worked on (unreadable, unknown, forbidden, too large, rejected, or the death of too many
    workers) is kept as a dead letter of its queue, with the reason, until somebody decides.
    """
