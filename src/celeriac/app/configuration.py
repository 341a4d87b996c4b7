"""From the sources that an application names to its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from celeriac.settings.conf import Settings
from celeriac.settings.sources import read_default_module, read_environment, read_object, read_pyproject


class _Source(Struct, frozen=True):
    where: Any
    namespace: str | None
    silent: bool

    def read_into(self, conf: Settings) -> None:
        read_object(conf, self.where, namespace=self.namespace, silent=self.silent)


class Configuration:
    """Notes where settings come from until they are wanted. Used while the application's module is imported."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        self._own = dict(own)
        self._sources: list[_Source] = []
        self._loaded: Settings | None = None

    def add(self, where: Any, *, namespace: str | None = None, silent: bool = False) -> None:
        """Note a source; read at once when the settings were loaded before."""
        source = _Source(where, namespace, silent)
        self._sources.append(source)
        if self._loaded is not None:
            source.read_into(self._loaded)

    @property
    def settings(self) -> Settings:
        """The settings, read on first use. Raises `ImproperlyConfigured`, naming setting and source."""
        if self._loaded is None:
            conf = Settings()
            conf.update(self._own)
            read_pyproject(conf)
            read_environment(conf)
            if not self._sources:
                read_default_module(conf)
            for source in self._sources:
                source.read_into(conf)
            self._loaded = conf
        return self._loaded
