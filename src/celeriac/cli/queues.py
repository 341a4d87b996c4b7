"""``celeriac queues``: show how the queues stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import click
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from celeriac.app.base import Celeriac
from celeriac.cli.group import Command
from celeriac.cli.output import note, plain, span, write_json
from celeriac.cli.parameters import Names
from celeriac.cli.session import Session
from celeriac.cli.tables import console
from celeriac.interfaces.broker import QueueStats


@click.command("queues", cls=Command)
@click.option("-Q", "--queues", "only", type=Names(), help="Show these queues only.")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    is_flag=False,
    flag_value=1.0,
    help="Show again every so many seconds (1 without a number) until interrupted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: queue to its figures.")
@click.pass_obj
def command(session: Session, only: tuple[str, ...] | None, watch: float | None, as_json: bool) -> None:
    """Show for each queue how many messages are ready, delayed, leased (held by a worker) and dead.

    The queues are those that the application is configured with and those that the broker knows. "Oldest" is the age
    of the oldest ready message.
    """  # fmt: skip
    with session.open() as app:
        _tell_of_unknown(session, app, only)
        write = _write_line if as_json else _write_table
        if watch is None:
            write(session, app, only)
            return
        with suppress(KeyboardInterrupt):  # the way to end it
            if as_json or not console(session).is_terminal:
                _repeat(lambda: write(session, app, only), watch)
            else:
                _watch(session, app, only, watch)


def _tell_of_unknown(session: Session, app: Celeriac, only: tuple[str, ...] | None) -> None:
    known = {*app.queue_names(), *app.queues_of_tasks(), *app.broker.queues()}
    unknown = [plain(name) for name in only or () if name not in known]
    if unknown:
        note(session, f"Neither configured nor known to the broker: {', '.join(unknown)}.")


def _stats(app: Celeriac, only: tuple[str, ...] | None) -> Mapping[str, QueueStats]:
    names = only or sorted({*app.queue_names(), *app.broker.queues()})
    return app.broker.stats(names)


def _write_line(_session: Session, app: Celeriac, only: tuple[str, ...] | None) -> None:
    write_json(_stats(app, only))


def _write_table(session: Session, app: Celeriac, only: tuple[str, ...] | None) -> None:
    screen = console(session)
    screen.print(_table(app, _stats(app, only)))
    screen.file.flush()  # whoever reads a pipe sees each table when it is written


def _repeat(write: Callable[[], None], pause: float) -> None:
    while True:
        write()
        time.sleep(pause)


def _watch(session: Session, app: Celeriac, only: tuple[str, ...] | None, pause: float) -> None:
    with Live(_table(app, _stats(app, only)), console=console(session), auto_refresh=False) as live:
        while True:
            time.sleep(pause)
            live.update(_table(app, _stats(app, only)), refresh=True)


def _table(app: Celeriac, stats: Mapping[str, QueueStats]) -> Table:
    table = Table(title=app.broker.location, title_justify="left")
    table.add_column("queue", overflow="fold")
    for heading in ("ready", "delayed", "leased", "dead", "oldest"):
        table.add_column(heading, justify="right")
    for name, queue in stats.items():
        age = "" if queue.oldest_age is None else span(queue.oldest_age)
        dead = f"[red]{queue.dead}[/red]" if queue.dead else "0"
        table.add_row(escape(name), str(queue.ready), _told(queue.delayed), _told(queue.leased), dead, age)
    return table


def _told(count: int | None) -> str:
    """Return a count for people; a question mark where the store cannot tell."""
    return "?" if count is None else str(count)
