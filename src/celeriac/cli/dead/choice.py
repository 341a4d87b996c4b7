"""Which dead letters a command is about: by id, or by what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from celeriac.cli.errors import Failure
from celeriac.cli.output import span, write_json
from celeriac.cli.parameters import Age, Names

Function = TypeVar("Function", bound=Callable[..., Any])

_MOST_NAMED = 10
"""Ids that an error names."""


def filters(function: Function) -> Function:
    """Add the options by which letters are found; their names are the arguments of `DeadLetterOffice.list`."""
    options = [
        click.option("-Q", "--queue", type=Names(), help="Those of these queues."),
        click.option("--task", metavar="NAME", help="Those of this task; a pattern such as 'proj.*' matches several."),
        click.option("--reason", metavar="TEXT", help="Those whose reason contains this."),
        click.option("--older-than", type=Age(), help="Those that died before that, such as 90s, 30m, 2h or 7d."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command that decides was told: ids, or filters, or everything."""

    ids: tuple[str, ...]
    filters: Mapping[str, Any]

    @classmethod
    def of(cls, ids: Sequence[str], filters: Mapping[str, Any], *, everything: bool) -> Choice:
        """Return the choice. A usage error when nothing was chosen, or too much was said."""
        given = any(value is not None for value in filters.values())
        if ids and (given or everything):
            raise click.UsageError("Name ids, or say which letters by options, not both.")
        if not ids and not given and not everything:
            raise click.UsageError("Say which letters: ids, -Q, --task, --reason, --older-than, or --all.")
        return cls(tuple(dict.fromkeys(ids)), filters)

    def __str__(self) -> str:
        """Return the filters in words, beginning with a blank; empty for none."""
        words = []
        if self.filters["queue"]:
            words.append(f" of {', '.join(self.filters['queue'])}")
        if self.filters["task"]:
            words.append(f" of task {self.filters['task']}")
        if self.filters["reason"]:
            words.append(f" with {self.filters['reason']!r} in the reason")
        if self.filters["older_than"] is not None:
            words.append(f" older than {span(self.filters['older_than'])}")
        return "".join(words)


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object: done, and the ids missing.")


def tell(done: int, word: str, missing: Sequence[str] = (), *, as_json: bool) -> None:
    """Print how many letters were given back, or removed."""
    if as_json:
        write_json({"done": done, "missing": list(missing)})
    else:
        click.echo(f"{done} {word}")


def counted(number: int) -> str:
    """Return so many dead letters in words."""
    return "1 dead letter" if number == 1 else f"{number} dead letters"


def fail_for(missing: Sequence[str]) -> None:
    """End the command with an error when letters that were named are not there."""
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise Failure(f"No such dead letter: {', '.join(missing[:_MOST_NAMED])}{more}.")
