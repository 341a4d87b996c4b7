"""What the demo shows: progress while the tasks run, and the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from celeriac import states
from celeriac.cli.demo.plan import End, Kind

_COLORS: Final = {states.SUCCESS: "green", states.FAILURE: "red"}

_FIGURES: Final = ("sent", "as expected")

Ends = Mapping[str, Sequence[End]]
"""How the tasks of each kind ended, by the kind's name."""


class LiveView:
    """Bars that follow the tasks. On a terminal they move; elsewhere each kind is told once, when it is done."""

    def __init__(self, screen: Console, kinds: Sequence[Kind]) -> None:
        self._screen = screen
        self._told: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[ended]:>2}/{task.total}"),
            TextColumn("{task.fields[doing]}"),
            console=screen,
            disable=not screen.is_terminal,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {
            kind.name: self._progress.add_task(kind.name, total=len(kind.handles), ended=0, doing=kind.shows)
            for kind in kinds
        }

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, kind: Kind, ends: Sequence[End], running: Sequence[Any]) -> None:
        """Show how far the tasks of a kind are; `running` holds what the others say of their progress."""
        frames = [meta for meta in running if isinstance(meta, Mapping) and "frames" in meta]
        doing = ", ".join(f"frame {meta['done']} of {meta['frames']}" for meta in frames) or kind.shows
        done = len(ends) + sum(meta["done"] / meta["frames"] for meta in frames)
        self._progress.update(self._bars[kind.name], completed=done, ended=len(ends), doing=doing)
        if len(ends) == len(kind.handles) and kind.name not in self._told:
            self._told.add(kind.name)
            if not self._screen.is_terminal:
                self._screen.print(f"{kind.name}: {len(ends)} of {len(ends)} done")


def table_of(kinds: Sequence[Kind], ends: Ends) -> Table:
    """Return the table of results."""
    table = Table(title="What became of the tasks", title_justify="left")
    for heading in ("kind", "shows", "sent", "ended as", "for example", "as expected"):
        table.add_column(heading, justify="right" if heading in _FIGURES else "left")
    for kind in kinds:
        of_kind = ends[kind.name]
        right = sum(end.is_expected for end in of_kind)
        color = "green" if right == len(kind.handles) else "red"
        example = escape(_example(of_kind[-1].result)) if of_kind else ""
        table.add_row(
            kind.name, kind.shows, str(len(kind.handles)), _states(of_kind), example, f"[{color}]{right}[/{color}]"
        )
    return table


def _states(ends: Sequence[End]) -> str:
    counts = Counter(end.state for end in ends)
    return ", ".join(f"{count} [{_COLORS.get(state, 'yellow')}]{state}[/]" for state, count in counts.items())


def _example(result: Any) -> str:
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}"
    return f"{result:.2f} s later" if isinstance(result, float) else repr(result)
