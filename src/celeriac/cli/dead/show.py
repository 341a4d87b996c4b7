"""``celeriac dead show``: all that is known of some dead letters."""

from __future__ import annotations

from typing import Any, Final

import click

from celeriac.app.base import Celeriac
from celeriac.cli.dead.choice import fail_for
from celeriac.cli.dead.letter import content, moment, result_of, summary
from celeriac.cli.group import Command
from celeriac.cli.output import plain, span, write_json
from celeriac.cli.session import Session
from celeriac.interfaces.dead_letters import DeadLetter

_CUT: Final = 2000
"""Characters of one value; --json shows all."""


@click.command("show", cls=Command)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line; bytes are base64.")
@click.pass_obj
def command(session: Session, ids: tuple[str, ...], as_json: bool) -> None:
    """Show dead letters: why and when they died, headers, arguments, and what became of the task.

    Arguments are read where the content type is one of accept_content; otherwise the bytes are shown as they are.
    """
    with session.open() as app:
        missing = []
        for letter_id in dict.fromkeys(ids):
            letter = app.dead_letters.fetch(letter_id)
            if letter is None:
                missing.append(letter_id)
            elif as_json:
                write_json(_everything(app, letter))
            else:
                _write(app, letter)
        fail_for(missing)


def _everything(app: Celeriac, letter: DeadLetter) -> dict[str, Any]:
    result = result_of(app, letter)
    end = {"state": result.state, "traceback": result.traceback} if result is not None else {}
    return summary(letter) | end | content(app, letter)


def _write(app: Celeriac, letter: DeadLetter) -> None:
    known = summary(letter)
    click.echo(plain(letter.id))
    for name in ("queue", "task", "task_id"):
        _line(name.replace("_", " "), known[name] or "?")
    _line("died", f"{moment(letter).isoformat(sep=' ')}, {span(max(0.0, app.clock.now() - letter.died))} ago")
    if letter.redelivered:
        _line("before that", "a worker died, or lost its lease, while it had this message")
    _line("reason", letter.reason)
    for name, value in content(app, letter).items():
        if name == "headers":
            for header, each in value.items():
                _line(f"header {header}", repr(each))
        else:
            _line(name.replace("_", " "), value if isinstance(value, str) else repr(value))
    result = result_of(app, letter)
    if result is not None:
        value = result.result
        said = f": {type(value).__name__}: {value}" if isinstance(value, BaseException) else ""
        _line("result", f"{result.state}{said}")
        if result.traceback:
            _line("traceback", result.traceback.rstrip())


def _line(name: str, text: str) -> None:
    """Print a name and what is under it; further lines stand below the first."""
    if len(text) > _CUT:
        text = f"{text[:_CUT]}... ({len(text)} characters, see --json)"
    first, *rest = text.splitlines() or [""]
    click.echo(f"  {plain(name):<14}  {plain(first)}")
    for line in rest:
        click.echo(f"  {'':<14}  {plain(line)}")
