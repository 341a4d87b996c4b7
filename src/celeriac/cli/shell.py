"""``celeriac shell``: a Python prompt with the application and its tasks at hand."""

from __future__ import annotations

import code
import importlib
from collections.abc import Mapping
from typing import Any

import click

import celeriac
from celeriac.app.base import Celeriac
from celeriac.cli.errors import Failure
from celeriac.cli.group import Command
from celeriac.cli.output import note
from celeriac.cli.session import Session


@click.command("shell", cls=Command)
@click.option("-I", "--ipython", "prompt", flag_value="ipython", help="Use IPython.")
@click.option("--python", "prompt", flag_value="python", help="Use Python's own prompt.")
@click.option("-T", "--without-tasks", is_flag=True, help="Leave the tasks out.")
@click.pass_obj
def command(session: Session, prompt: str | None, without_tasks: bool) -> None:
    """Open a prompt that knows `app`, `celeriac`, and each task by its function's name.

    IPython is used where it is installed.
    """
    with session.open() if without_tasks else session.open_with_tasks() as app:
        names = _names(app, with_tasks=not without_tasks)
        note(session, f"celeriac {celeriac.__version__}; at hand: {', '.join(sorted(names))}")
        ipython = None if prompt == "python" else _ipython(needed=prompt == "ipython")
        if ipython is None:
            code.interact(banner="", local=names, exitmsg="")
        else:
            ipython.start_ipython(argv=[], user_ns=names)


def _names(app: Celeriac, *, with_tasks: bool) -> dict[str, Any]:
    """Return what the prompt knows. Of two tasks with one short name only the first has it."""
    names: dict[str, Any] = {"app": app, "celeriac": celeriac}
    tasks: Mapping[str, Any] = app.tasks if with_tasks else {}
    for name, task in tasks.items():
        short = name.rpartition(".")[2]
        if short.isidentifier() and not name.startswith("celery."):
            names.setdefault(short, task)
    return names


def _ipython(*, needed: bool) -> Any:
    try:
        return importlib.import_module("IPython")
    except ImportError as error:
        if needed:
            raise Failure("IPython is not installed: pip install ipython") from error
        return None
