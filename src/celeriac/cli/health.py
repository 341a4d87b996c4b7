"""``celeriac health``: tell whether a worker of this machine does its work."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from celeriac.cli.errors import FAILURE, Unavailable
from celeriac.cli.group import Command
from celeriac.cli.output import write_json
from celeriac.cli.session import Session
from celeriac.worker.health_file import STALE, HealthReport, health_path, is_alive, read_report
from celeriac.worker.nodename import full_name


@click.command("health", cls=Command)
@click.option("-n", "--hostname", metavar="NODE", help="The node's name, as given to the worker.")
@click.option(
    "--file",
    metavar="PATH",
    envvar=["CELERIAC_WORKER_HEALTH_FILE"],
    help="The node's health file, where the setting worker_health_file names one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the node's report as one JSON object.")
@click.pass_obj
def command(session: Session, hostname: str | None, file: str | None, as_json: bool) -> None:
    """Tell whether a worker of this machine does its work.

    It reads the file that the worker writes every few seconds, and needs neither the application nor the broker. The
    exit code is 0 for a worker that is healthy (or starts, or stops), 1 for one that is failing, and 69 where there is
    none: no file, a file older than 10 s, or one whose process has ended.
    """
    report = _living(health_path(file, full_name(hostname)))
    if as_json:
        write_json(report)
    elif report.state == "failing":
        click.echo(f"{report.nodename} is failing: {report.reason}")
    elif not session.quiet:
        click.echo(f"{report.nodename} is {report.state}")
    if report.state == "failing":
        raise click.exceptions.Exit(FAILURE)


def _living(path: Path) -> HealthReport:
    """Return what a living node says of itself. Raises `Unavailable`."""
    try:
        report = read_report(path)
    except FileNotFoundError:
        raise Unavailable(f"There is no node: {path} is missing. Name it by -n or --file.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(f"{path} cannot be read: {error}.") from error
    if not is_alive(report.pid):
        raise Unavailable(f"Process {report.pid} of {report.nodename} has ended without a word.")
    age = time.time() - report.written
    if age > STALE:
        raise Unavailable(f"{report.nodename} (process {report.pid}) has said nothing for {age:.0f} s.")
    return report
