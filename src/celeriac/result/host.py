"""What a handle needs of the application that it belongs to, and which that is when nothing else says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from celeriac.exceptions import ImproperlyConfigured


class ResultHost(Protocol):
    """The application as handles on its results see it."""

    @property
    def reader(self) -> Any: ...

    @property
    def keeper(self) -> Any: ...


_current: Final[list[Callable[[], ResultHost]]] = []


def provide(current: Callable[[], ResultHost]) -> None:
    """Say who knows the current application, for handles that are made of an id alone."""
    _current[:] = [current]


def host_of(app: ResultHost | None) -> ResultHost:
    """Return the application, or else the current one. Raises `ImproperlyConfigured` when there is none."""
    if app is not None:
        return app
    if not _current:
        raise ImproperlyConfigured("There is no application yet: make one with app = Celeriac('name', broker=...).")
    return _current[0]()
