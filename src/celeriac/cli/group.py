"""A group whose commands are imported late, and options that may stand on either side of a command's name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from celeriac.cli.errors import exit_codes


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and the line that the list of commands shows, so that listing imports none of them."""

    module: str
    help: str


class Commands(click.Group):
    """The group that imports a command from its table when it is used."""

    def __init__(self, *, table: Mapping[str, Entry], absent: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._table = table
        self._absent = absent or {}  # Celery's commands that are not here: name to what to do instead

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self._absent:
            raise click.UsageError(f"{name!r} is a command of Celery's: {self._absent[name]}.", ctx)
        if name not in self._table and not name.startswith("-"):
            close = difflib.get_close_matches(name, self._table, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(self._table)}."
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with exit_codes():
            return super().invoke(ctx)


class Command(click.Command):
    """A subcommand. It takes the options of ``celeriac`` too; one given here wins over the same before the name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own = list(self.params)
        self.params += global_options(from_environment=False)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, the common ones under a heading of their own."""
        own = [*self._own, *filter(None, [self.get_help_option(ctx)])]
        common = [param for param in self.params if param not in self._own]
        for title, params in (("Options", own), ("Common options", common)):
            rows = [row for row in (param.get_help_record(ctx) for param in params) if row is not None]
            with formatter.section(title):
                formatter.write_dl(rows)


class Subcommands(Command, Commands):
    """A subcommand that has commands of its own, in a table; the common options may stand on every level."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


def global_options(*, from_environment: bool) -> list[click.Parameter]:
    """Return the options that stand before or after a command's name.

    After the name they change the session that the group has made; there the environment is not asked again.
    """

    def option(*names: str, **attributes: Any) -> click.Option:
        if not from_environment:
            attributes |= {"envvar": None, "expose_value": False, "callback": _change_session}
        return click.Option(names, **attributes)

    return [
        option("-A", "--app", metavar="APP", envvar=["CELERIAC_APP", "CELERY_APP"],
               help="The application: a module, or module:attribute."),
        option("-b", "--broker", metavar="URL", help="Use this broker instead of the configured one."),
        option("--result-backend", metavar="URL", help="Use this result backend instead of the configured one."),
        option("--config", metavar="MODULE", help="Read the settings from this module."),
        option("--workdir", type=click.Path(exists=True, file_okay=False, path_type=Path),
               help="Change to this directory first."),
        option("-C", "--no-color", is_flag=True, help="Write without colour."),
        option("-q", "--quiet", is_flag=True, help="Write results and errors only."),
    ]  # fmt: skip


def _change_session(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name and context.obj is not None:
        context.obj = context.obj.with_options(**{parameter.name: value})
