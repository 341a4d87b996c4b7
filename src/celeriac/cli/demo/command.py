"""The command ``celeriac demo``."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from celeriac.cli.demo import tasks
from celeriac.cli.demo.plan import End, Kind, end_of, send_all
from celeriac.cli.demo.view import Ends, LiveView, table_of
from celeriac.cli.demo.worker import DemoWorker
from celeriac.cli.errors import FAILURE
from celeriac.cli.group import Command
from celeriac.cli.session import Session
from celeriac.cli.tables import console
from celeriac.settings.sources import read_arguments

_DEADLINE: Final = 45.0
"""Seconds in which all tasks must have ended; they need about five."""

_LOOK_EVERY: Final = 0.1


@click.command("demo", cls=Command)
@click.pass_obj
def command(session: Session) -> None:
    """Start a worker in a temporary directory, send it a few dozen tasks of several kinds, show what becomes of them.

    Uses the embedded SQLite store, or the broker that -b names, in a queue of its own. The exit code is 1 when anything
    is not as expected.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the worker is stopped as well
    screen = console(session)
    with tempfile.TemporaryDirectory(prefix="celeriac-demo-") as name, tasks.app:
        directory = Path(name)
        url = session.broker or f"sqlite:///{directory / 'celeriac.db'}"
        settings = [
            f"broker_url={url}",
            f"result_backend={session.result_backend or url}",
            f"task_default_queue=celeriac-demo-{uuid.uuid4().hex[:8]}",
        ]
        read_arguments(tasks.app.conf, settings)
        is_well = _run(screen, DemoWorker(directory, settings))
    if not is_well:
        raise click.exceptions.Exit(FAILURE)


def _run(screen: Console, worker: DemoWorker) -> bool:
    """Send, watch, stop and tell; return whether all was as expected."""
    began = time.monotonic()
    kinds = send_all()
    sent = sum(len(kind.handles) for kind in kinds)
    screen.print(f"{sent} tasks sent to {tasks.app.broker.location}, before any worker was there.")
    try:
        worker.start()
        screen.print(f"A worker was started as process {worker.pid}.")
        ends = _watch(screen, kinds, worker)
    finally:
        code = worker.stop()
        _clean_up(kinds)
    screen.print(table_of(kinds, ends))
    right = sum(end.is_expected for of_kind in ends.values() for end in of_kind)
    stopped = "stopped warmly" if code == 0 else f"did not stop as it should (exit code {code}):\n{worker.log()}"
    screen.print(
        f"{right} of {sent} as expected, in {time.monotonic() - began:.1f} s. The worker {stopped}.", markup=False
    )
    return right == sent and code == 0


def _watch(screen: Console, kinds: Sequence[Kind], worker: DemoWorker) -> Ends:
    """Follow the tasks until all have ended or the time is up; return how those ended that did."""
    deadline = time.monotonic() + _DEADLINE
    with LiveView(screen, kinds) as view:
        while True:
            ends = {kind.name: _look_at(kind, view) for kind in kinds}
            if all(len(ends[kind.name]) == len(kind.handles) for kind in kinds) or time.monotonic() > deadline:
                return ends
            worker.check()
            time.sleep(_LOOK_EVERY)


def _look_at(kind: Kind, view: LiveView) -> list[End]:
    found = [(handle, end_of(kind, handle)) for handle in kind.handles]
    ends = [end for _, end in found if end is not None]
    view.show(kind, ends, [handle.info for handle, end in found if end is None])
    return ends


def _clean_up(kinds: Sequence[Kind]) -> None:
    """Leave nothing on a broker that is not ours alone."""
    tasks.app.broker.purge(tasks.app.conf.task_default_queue)
    for kind in kinds:
        for handle in kind.handles:
            handle.forget()
