"""From what a user names (``-A proj``) to the application in the user's code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from msgspec import Struct

from celeriac.app.base import Celeriac
from celeriac.exceptions import ImproperlyConfigured

_USUAL_NAMES: Final = ("app", "celery", "celeriac")
"""How the variable with the application is called, in this order; anything else is found if it is the only one."""

_USUAL_MODULES: Final = ("celery", "celeriac", "app", "tasks")
"""Modules of a package that hold the application when the package itself does not."""


class Located(Struct, frozen=True):
    """An application and the one spelling (``module:attribute``) that finds it again, in another process too."""

    app: Celeriac
    spec: str


def locate(spec: str, *, workdir: Path | None = None) -> Located:
    """Import the application that `spec` names, with `workdir` (None: the current directory) in the import path.

    ``module:attribute`` is taken at its word. A module or package is searched: a variable ``app``, ``celery`` or
    ``celeriac``, else the only application among the variables, else the same in ``package.celery``,
    ``package.celeriac``, ``package.app`` and ``package.tasks``; ``package.module.attribute`` works too.

    Raises `ImproperlyConfigured`, with what was tried, when there is no application or more than one. Whatever the
    user's own code raises while it is imported passes through unchanged.
    """
    where = str((workdir or Path.cwd()).resolve())
    if where not in sys.path:
        sys.path.insert(0, where)
    name, _, attribute = spec.partition(":")
    _refuse_path(spec)
    tried: list[str] = []
    for located in _candidates(name, attribute, tried):
        return located
    raise ImproperlyConfigured(
        f"No application was found for {spec!r}.\n"
        + "".join(f"  - {line}\n" for line in tried)
        + f"Name it as module:attribute (-A proj.celery:app). Modules were looked for in {where} and Python's path."
    )


def _candidates(name: str, attribute: str, tried: list[str]) -> Iterator[Located]:
    module = _import(name, tried)
    if attribute:
        if module is not None:
            yield from _at_attribute(module, attribute, tried)
        return
    if module is None:
        parent, _, last = name.rpartition(".")
        holder = _import(parent, tried) if parent else None
        if holder is not None:
            yield from _at_attribute(holder, last, tried)
        return
    yield from _in_module(module, tried)
    if hasattr(module, "__path__"):
        for child in _USUAL_MODULES:
            submodule = _import(f"{name}.{child}", tried)
            if submodule is not None:
                yield from _in_module(submodule, tried)


def _import(name: str, tried: list[str]) -> ModuleType | None:
    """Import a module; None when it is the module itself (or a package above it) that does not exist."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != name and not name.startswith(f"{missing}."):
            raise
        tried.append(f"there is no module {missing}")
        return None


def _at_attribute(module: ModuleType, attribute: str, tried: list[str]) -> Iterator[Located]:
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            tried.append(f"{module.__name__} has no attribute {attribute}")
            return
        value = getattr(value, part)
    spec = f"{module.__name__}:{attribute}"
    if isinstance(value, ModuleType):
        yield from _in_module(value, tried)
    elif isinstance(value, Celeriac):
        yield Located(value, spec)
    else:
        tried.append(_what_it_is(spec, value))


def _in_module(module: ModuleType, tried: list[str]) -> Iterator[Located]:
    variables = vars(module)
    for name in _USUAL_NAMES:
        value = variables.get(name)
        if isinstance(value, Celeriac):
            yield Located(value, f"{module.__name__}:{name}")
        elif value is not None and not isinstance(value, ModuleType):
            tried.append(_what_it_is(f"{module.__name__}:{name}", value))
    found = {id(value): name for name, value in variables.items() if isinstance(value, Celeriac)}
    if len(found) == 1:
        (name,) = found.values()
        yield Located(variables[name], f"{module.__name__}:{name}")
    elif found:
        names = ", ".join(f"{module.__name__}:{name}" for name in sorted(found.values()))
        tried.append(f"{module.__name__} has several applications; choose one: {names}")
    else:
        tried.append(f"{module.__name__} has no application among its variables")


def _what_it_is(spec: str, value: object) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if kind == "celery.app.base.Celery":
        return f"{spec} is an application of Celery; write `from celeriac import Celery` where it is made"
    return f"{spec} is no application but a {kind}"


def _refuse_path(spec: str) -> None:
    """Say at once what is wrong when a file is named: its name would be imported as a package."""
    if spec.endswith(".py") or "/" in spec or "\\" in spec:
        module = Path(spec.replace("\\", "/")).with_suffix("").as_posix().strip("./").replace("/", ".")
        raise ImproperlyConfigured(f"An application is named by its module, not by its file: -A {module or 'module'}")
    if not all(part.isidentifier() for part in spec.replace(":", ".").split(".")):
        raise ImproperlyConfigured(f"{spec!r} names no module; write -A module or -A module:attribute.")
