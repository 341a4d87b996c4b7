"""The small file in which a node says every few seconds how it is."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured
from celeriac.types import Seconds
from celeriac.worker.nodename import expand

State = Literal["starting", "healthy", "failing", "stopping"]

STALE: Final[Seconds] = 10.0
"""A node writes its file every four seconds, and at once when something changes: one that is older is nobody's."""


class HealthReport(Struct, frozen=True):
    """How a node is. `written` is in seconds since the epoch, UTC; `reason` is empty unless it is failing.

    `ages` are seconds since each last succeeded: ``received`` and ``stored`` of each engine by its number, ``leases``
    and ``upkeep`` of the node. What has not succeeded yet counts from the node's start.
    """

    pid: int
    nodename: str
    state: State
    written: float
    reason: str = ""
    ages: Mapping[str, Seconds] = {}


def health_path(setting: str | None, nodename: str) -> Path:
    """Return where a node's file is, by the setting ``worker_health_file`` or else by the node's name."""
    if setting:
        return Path(expand(setting, nodename))
    return Path(tempfile.gettempdir()) / f"celeriac-{nodename.replace(os.sep, '_')}.health"


def check_health_file(setting: str | None, nodename: str) -> None:
    """Raise `ImproperlyConfigured` when ``worker_health_file`` is set to what cannot be written."""
    if not setting:
        return
    try:
        reason = _why_not(health_path(setting, nodename))
    except ValueError as error:  # a NUL in it
        reason = str(error)
    if reason:
        raise ImproperlyConfigured(
            f"worker_health_file cannot be {setting!r}: {reason}. Name a file where the worker may write."
        )


def write_report(path: Path, report: HealthReport) -> None:
    """Put the report in the place of the last one, at once. Raises OSError."""
    made, handle = _made_beside(path)
    try:
        try:
            os.write(handle, msgspec.json.encode(report))
        finally:
            os.close(handle)
        made.chmod(0o644)  # monitors may run as other users; there is no secret in it
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def read_report(path: Path) -> HealthReport:
    """Read a node's file. Raises OSError, and `msgspec.DecodeError` for what is no report."""
    return msgspec.json.decode(path.read_bytes(), type=HealthReport)


def other_writer(path: Path, *, now: Seconds) -> int | None:
    """Return the process that writes this file at this time and goes on to, if there is one beside this one."""
    try:
        report = read_report(path)
    except (OSError, msgspec.DecodeError):
        return None
    goes_on = report.state != "stopping" and now - report.written <= STALE
    return report.pid if goes_on and report.pid != os.getpid() and is_alive(report.pid) else None


def remove_report(path: Path, *, pid: int) -> None:
    """Remove the file unless another process has written it since."""
    with suppress(OSError, msgspec.DecodeError):
        if read_report(path).pid == pid:
            path.unlink()


def _made_beside(path: Path) -> tuple[Path, int]:
    # By tempfile this would be a third of what an idle node does.
    made = path.with_name(f".{path.name}-{os.urandom(4).hex()}")
    return made, os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _why_not(path: Path) -> str:
    """Return why no report can be written there, empty if one can, or could if there were room."""
    if path.is_dir():
        return f"{path} is a directory"
    try:
        made, handle = _made_beside(path)
    except OSError as error:
        has_no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return "" if has_no_room else f"in {path.parent} no file can be made ({error.strerror})"
    os.close(handle)
    made.unlink()
    return ""


def is_alive(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
