"""The file with the node's process id."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from celeriac.exceptions import ImproperlyConfigured


@contextmanager
def pidfile(name: str | None) -> Iterator[None]:
    """Write the process id to `name` and remove it at the end; a file left by a dead process is taken over.

    Raises `ImproperlyConfigured` when its process is alive, or the file cannot be written. None does nothing.
    """
    if name is None:
        yield
        return
    path = Path(name)
    owner = _owner(path)
    if owner is not None and owner != os.getpid():
        raise ImproperlyConfigured(
            f"{path} says that process {owner} runs already: stop it, or choose another --pidfile; or remove the file,"
            " if that process is no worker."
        )
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise ImproperlyConfigured(f"The pidfile {path} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _owner(path: Path) -> int | None:
    """Return the process id in the file if that process is alive."""
    with suppress(OSError, ValueError):
        pid = int(path.read_text(encoding="ascii"))
        if pid <= 0:  # kill(2) would take it for a group of processes
            return None
        try:
            os.kill(pid, 0)
        except PermissionError:
            return pid
        return pid
    return None
