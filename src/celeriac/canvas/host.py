"""What a signature needs of the application that it belongs to, and which that is when nothing else says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from celeriac.exceptions import ImproperlyConfigured
from celeriac.types import Args, Kwargs


class Sender(Protocol):
    """Sends workflows, or runs them here; `celeriac.app.workflows` is it."""

    def send(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]) -> Any: ...

    def apply(self, sig: Mapping[str, Any], args: Args, kwargs: Kwargs, options: Mapping[str, Any]) -> Any: ...

    def freeze(self, sig: Mapping[str, Any], last_id: str | None) -> Any: ...


class CanvasHost(Protocol):
    """The application as its signatures see it."""

    @property
    def conf(self) -> Any: ...

    @property
    def tasks(self) -> Mapping[str, Any]: ...

    @property
    def workflows(self) -> Sender: ...


_current: Final[list[Callable[[], CanvasHost]]] = []


def provide(current: Callable[[], CanvasHost]) -> None:
    """Say who knows the current application, for signatures of tasks that are known by name alone."""
    _current[:] = [current]


def current() -> CanvasHost:
    """Return the current application. Raises `ImproperlyConfigured` when there is none."""
    if not _current:
        raise ImproperlyConfigured("There is no application yet: make one with app = Celeriac('name', broker=...).")
    return _current[0]()
