"""The places that settings are read from. Each function takes over one place into a `Settings`.

From the weakest to the strongest: the table's defaults, ``add_defaults``, ``pyproject.toml``, a configuration module or
object, the environment, the application's own code, the command line.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.conf import Settings
from celeriac.settings.layers import Layer
from celeriac.settings.names import canonical, resembling, within_namespace

DEFAULT_MODULES: Final = ("celeriacconfig", "celeryconfig")
"""Looked for in the working directory when the application names no configuration."""

MODULE_VARIABLES: Final = ("CELERIAC_CONFIG_MODULE", "CELERY_CONFIG_MODULE")
"""Environment variables that name the configuration module."""

CELERY_VARIABLES: Final = (
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
)
"""The settings that Celery, too, reads from the environment."""

_NOT_SETTINGS: Final = frozenset({"app"})
"""Keys of ``[tool.celeriac]`` that are read by the commands."""

_PLAIN = (str, bytes, bool, int, float, list, tuple, set, frozenset, Mapping, timedelta, tzinfo, type(None))


def read_object(conf: Settings, source: object, *, namespace: str | None = None, silent: bool = False) -> bool:
    """Read a mapping, an object's attributes, or what ``"module"``, ``"module:attribute"`` or a dotted path names.

    With a `namespace` only names with that prefix are settings (``CELERY_BROKER_URL``). Return False when a module
    that was named does not exist and `silent` is set; otherwise that is an `ImproperlyConfigured`. An error inside
    the module is raised as it is.
    """
    label = f"the {type(source).__name__} given to config_from_object"
    if isinstance(source, str):
        label = source
        try:
            source = _named(source)
        except _Missing as missing:
            if silent:
                return False
            raise ImproperlyConfigured(f"There is no configuration {label!r}: {missing}.") from missing.__cause__
    values = source if isinstance(source, Mapping) else dict(_attributes(source, namespace))
    conf.read(values, layer=Layer.CONFIG, source=label, namespace=namespace)
    return True


def read_default_module(
    conf: Settings, *, environ: Mapping[str, str] = os.environ, directory: Path | None = None
) -> str | None:
    """Read the module that the environment names, else the first of `DEFAULT_MODULES` in the directory.

    Return its name, None when there is none. A module that the environment names must exist.
    """
    with _importable(directory or Path.cwd()):
        for variable in MODULE_VARIABLES:
            if name := environ.get(variable):
                read_object(conf, name)
                return name
        for name in DEFAULT_MODULES:
            if importlib.util.find_spec(name) is not None:
                read_object(conf, name)
                return name
    return None


def read_environment(conf: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Read ``CELERIAC_<SETTING>`` for every setting, and `CELERY_VARIABLES`. Empty values count as not there.

    A ``CELERIAC_`` name that resembles a setting is an `ImproperlyConfigured`; others are not for us.
    """
    values: dict[str, str] = {}
    for variable, text in environ.items():
        if not text or not (variable in CELERY_VARIABLES or variable.startswith("CELERIAC_")):
            continue
        name = within_namespace(variable, "CELERIAC") or ""
        if canonical(variable) is not None or resembling(name) is not None:
            values[variable] = text
    conf.read(values, layer=Layer.ENVIRONMENT, source="the environment", text=True)


def find_pyproject(directory: Path | None = None) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the nearest ``pyproject.toml`` upwards and its table ``[tool.celeriac]``; None when there is no file."""
    start = (directory or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            import tomllib  # noqa: PLC0415  2 of the 60 ms that `import celeriac` may take, and wanted here alone

            try:
                table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("celeriac", {})
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ImproperlyConfigured(f"{path} cannot be read: {error}.") from error
            return path, table
    return None


def read_pyproject(conf: Settings, directory: Path | None = None) -> Path | None:
    """Read ``[tool.celeriac]`` of the nearest ``pyproject.toml``; return its path, None when there is none.

    ``app`` and tables that are no settings (defaults of commands) are left to others.
    """
    found = find_pyproject(directory)
    if found is None:
        return None
    path, table = found
    values = {
        name: value
        for name, value in table.items()
        if name not in _NOT_SETTINGS and (canonical(name) is not None or not isinstance(value, Mapping))
    }
    conf.read(values, layer=Layer.PYPROJECT, source=f"{path} [tool.celeriac]")
    return path


def read_arguments(conf: Settings, arguments: Iterable[str]) -> None:
    """Read ``name=value`` from the command line. Raises `ImproperlyConfigured`."""
    values: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name.strip():
            raise ImproperlyConfigured(f"{argument!r} on the command line is no setting; write name=value.")
        values[name.strip().lstrip("-")] = text
    conf.read(values, layer=Layer.COMMAND_LINE, source="the command line", text=True)


class _Missing(Exception):
    """A module or attribute that was named does not exist."""


def _named(path: str) -> object:
    """Import what a path names. Only the absence of the thing itself is `_Missing`."""
    module_name, colon, attribute = path.partition(":")
    if not colon and not _exists(path) and "." in path:
        module_name, _, attribute = path.rpartition(".")
    if not _exists(module_name):
        raise _Missing(f"no module {module_name!r} can be imported") from None
    found: object = importlib.import_module(module_name)
    for part in filter(None, attribute.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise _Missing(f"{module_name} has no {attribute}") from error
    return found


def _exists(module_name: str) -> bool:
    if module_name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            return False
        raise
    except ValueError:
        return False


def _attributes(source: object, namespace: str | None) -> Iterator[tuple[str, Any]]:
    """Yield what may be settings among an object's attributes: known names, and others that hold plain data."""
    for spelling in dir(source):
        if spelling.startswith("_"):
            continue
        name = within_namespace(spelling, namespace) if namespace else spelling
        if name is None:
            continue
        value = getattr(source, spelling)
        if canonical(name) is not None or isinstance(value, _PLAIN):
            yield spelling, value


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let modules of the directory be imported, as they can be by ``python -m``."""
    entry = str(directory)
    if entry in sys.path or (directory == Path.cwd() and "" in sys.path):
        yield
        return
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
