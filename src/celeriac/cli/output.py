"""Writing for scripts, and side notes for people."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from celeriac.cli.session import Session


def write_json(value: Any) -> None:
    """Print one line of JSON; values that JSON lacks as text (moments as ISO 8601, bytes as base64)."""
    click.echo(msgspec.json.encode(value, enc_hook=repr).decode())


def note(session: Session, text: str) -> None:
    """Tell the user something on standard error, unless they asked for quiet."""
    if not session.quiet:
        click.echo(text, err=True)
