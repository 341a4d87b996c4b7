"""What a command line says of the application, and the opening of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import click

from celeriac.app.base import Celeriac
from celeriac.app.locate import Located, locate
from celeriac.cli.errors import users_code
from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.layers import Layer
from celeriac.settings.sources import find_pyproject

_CONFIG_MODULE: Final = "CELERY_CONFIG_MODULE"
"""How ``--config`` reaches the application: it has to be there before the user's module makes one."""


@dataclass(frozen=True, slots=True)
class Session:
    """The options of ``celeriac`` itself, as one command sees them."""

    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    config: str | None = None
    workdir: Path | None = None
    no_color: bool = False
    quiet: bool = False

    def with_options(self, **given: Any) -> Self:
        """Return the same session with these options changed."""
        return replace(self, **given)

    def open(self) -> Celeriac:
        """Return the application; without one named, an empty application on the configured broker."""
        located = self._locate()
        app = located.app if located is not None else Celeriac("celeriac")
        self._configure(app)
        return app

    def open_with_tasks(self) -> Celeriac:
        """Return the application as `open` does, with the modules imported in which a worker finds its tasks."""
        app = self.open()
        with users_code("A module with tasks"):
            app.import_modules()
        return app

    def require(self) -> Located:
        """Return the application that the user names, and its spelling. A usage error when none is named."""
        located = self._locate()
        if located is None:
            raise click.UsageError(
                "No application is named. Say -A module (or -A module:attribute), set CELERIAC_APP, or write"
                ' app = "module:attribute" under [tool.celeriac] in pyproject.toml.'
            )
        self._configure(located.app)
        return located

    def _locate(self) -> Located | None:
        if self.workdir is not None:
            os.chdir(self.workdir)
        if self.config:
            os.environ[_CONFIG_MODULE] = self.config
        named = (self.app, Path.cwd()) if self.app else _of_project()
        if named is None:
            return None
        spec, folder = named
        try:
            with users_code(f"The application {spec!r}"):
                return locate(spec, workdir=folder)
        except ImproperlyConfigured as error:
            raise click.UsageError(str(error)) from error

    def _configure(self, app: Celeriac) -> None:
        urls = {"broker_url": self.broker, "result_backend": self.result_backend}
        given = {name: url for name, url in urls.items() if url}
        app.conf.read(given, layer=Layer.COMMAND_LINE, source="the command line", text=True)
        if self.no_color:
            app.conf.read({"worker_log_color": False}, layer=Layer.COMMAND_LINE, source="the command line")
        if self.quiet:
            app.stores.tells_default = False


def _of_project() -> tuple[str, Path] | None:
    """Return ``app`` of ``[tool.celeriac]`` and the project's folder; None where no such file or key is."""
    found = find_pyproject()
    spec = found[1].get("app") if found is not None else None
    if found is None or spec is None:
        return None
    if not isinstance(spec, str):
        raise click.UsageError(f'app under [tool.celeriac] in {found[0]} must be text, such as "proj.celery:app".')
    return spec, found[0].parent
