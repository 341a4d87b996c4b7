"""``celeriac report``: what to attach to a question or a bug report."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Table

from celeriac import __version__
from celeriac.app.base import Celeriac
from celeriac.cli.group import Command
from celeriac.cli.output import write_json
from celeriac.cli.session import Session
from celeriac.cli.tables import console
from celeriac.exceptions import CeleriacError
from celeriac.routing.queues import Queue

_PACKAGES: Final = ("msgspec", "click", "rich", "redis", "hiredis", "celery", "kombu")
_UNREACHABLE: Final = "unreachable"


@click.command("report", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(session: Session, as_json: bool) -> None:
    """Show versions, the platform, the application's settings (without secrets), and whether its stores answer.

    The exit code is 0 also when a store does not answer: the report says so.
    """
    with session.open() as app:
        sections = {
            "software": _software(),
            "application": _application(app),
            "stores": _stores(app),
            "settings": {name: _plain(value) for name, value in app.conf.table().items()},
        }
        if as_json:
            write_json(sections)
            return
        screen = console(session)
        sections["stores"] = {name: _in_words(store) for name, store in sections["stores"].items()}
        sections["settings"] = sections["settings"] or {"all": "at their defaults"}
        for title, rows in sections.items():
            screen.print(_table(title, rows))


def _software() -> dict[str, str]:
    found = {"celeriac": __version__}
    found["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    found["executable"] = sys.executable
    found["platform"] = platform.platform()
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _application(app: Celeriac) -> dict[str, Any]:
    problem = {}
    try:
        app.import_modules()
    except Exception as error:  # noqa: BLE001  a report is wanted then all the more
        problem = {"not imported": f"{type(error).__name__}: {error}"}
    tasks = sorted(name for name in app.tasks if not name.startswith("celery."))
    return {"name": app.main, "queues": list(app.queue_names()), "tasks": tasks} | problem


def _stores(app: Celeriac) -> dict[str, dict[str, Any]]:
    return {"broker": _answers(lambda: app.broker), "results": _answers(lambda: app.results)}


def _answers(find: Callable[[], Any]) -> dict[str, Any]:
    """Return where a store is, None for none, whether it answers, and why not."""
    url = None
    try:
        store = find()
        if store is None:
            return {"url": None, "answers": False, "error": None}
        url = store.location
        store.connect()
    except CeleriacError as error:
        return {"url": url, "answers": False, "error": str(error)}
    return {"url": url, "answers": True, "error": None}


def _in_words(store: Mapping[str, Any]) -> str:
    if store["error"] is not None:
        return f"{_UNREACHABLE}: {store['error']}"
    return f"answers: {store['url']}" if store["answers"] else "none"


def _plain(value: Any) -> Any:
    """Return what JSON can hold; anything else, such as a function among the routes, as Python writes it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Queue):
        return value.name
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _table(title: str, rows: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, f"[red]{escape(text)}[/red]" if text.startswith(_UNREACHABLE) else escape(text))
    return table
