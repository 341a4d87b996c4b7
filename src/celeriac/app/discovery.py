"""Finding tasks: modules of one name in packages that the user lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from celeriac.app.making import import_if_there


class Discovery:
    """Packages that are still to be looked through."""

    def __init__(self) -> None:
        self._pending: list[tuple[Iterable[str] | Callable[[], Iterable[str]], str | None]] = []

    def add(self, packages: Iterable[str] | Callable[[], Iterable[str]] | None, related_name: str | None) -> None:
        if packages is None:
            raise TypeError(
                "autodiscover_tasks() without packages looks through Django's applications in Celery; celeriac has no"
                " Django integration yet. Name them: app.autodiscover_tasks(lambda: [found.name for found in"
                " django.apps.apps.get_app_configs()])"
            )
        self._pending.append((packages, related_name))

    def run(self) -> None:
        """Import the packages, and the module of that name in each that has one. Errors in them are raised."""
        pending, self._pending = self._pending, []
        for packages, related_name in pending:
            names = packages() if callable(packages) else packages
            for package in names:
                found = import_module(package)
                if related_name and hasattr(found, "__path__"):
                    import_if_there(f"{package}.{related_name}")
