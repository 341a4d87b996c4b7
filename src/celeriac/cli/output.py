"""Writing for scripts, and side notes for people."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from celeriac.cli.session import Session


def write_json(value: Any) -> None:
    """Print one line of JSON; values that JSON lacks as text (moments as ISO 8601, bytes as base64)."""
    try:
        text = msgspec.json.encode(value, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half a character, which only an escape can carry
        text = json.dumps(msgspec.to_builtins(value, enc_hook=repr))
    click.echo(text)


def note(session: Session, text: str) -> None:
    """Tell the user something on standard error, unless they asked for quiet."""
    if not session.quiet:
        click.echo(text, err=True)


def ask(question: str) -> None:
    """Ask on standard error; return after a yes. Raises `click.Abort`, and `ClickException` where nobody answers."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            raise click.ClickException("Nobody is there to answer, so nothing was done: -f does not ask.") from error
        raise
    if not agreed:
        raise click.Abort


def plain(text: str) -> str:
    """Return text from a message with what a terminal could take for a command written as Python escapes it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def span(seconds: float) -> str:
    """Return a span of time in its two largest units."""
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} {int(seconds % size // part)}{smaller}"
    return f"{seconds:.1f}s"
