"""The current application: the last one made, or the one that a thread has chosen."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from celeriac.app.host import Host
from celeriac.canvas import host as canvas_host
from celeriac.exceptions import ImproperlyConfigured
from celeriac.result import host as result_host

_chosen: Final[ContextVar[Host | None]] = ContextVar("celeriac_app", default=None)
_last_made: list[Host] = []


def set_current_host(host: Host) -> None:
    """Make `host` the current application of the whole process."""
    _last_made[:] = [host]


def choose_host(host: Host) -> None:
    """Make `host` the current application of this thread or coroutine."""
    _chosen.set(host)


def current_host() -> Host:
    """Return the current application. Raises `ImproperlyConfigured` when none was made."""
    host = _chosen.get() or (_last_made[0] if _last_made else None)
    if host is None:
        raise ImproperlyConfigured("There is no application yet: make one with app = Celeriac('name', broker=...).")
    return host


canvas_host.provide(current_host)
result_host.provide(current_host)
