"""Exceptions as results carry them: ``{"exc_type", "exc_message", "exc_module"}``.

Classes that stock Celery has go out under the module that stock Celery finds them in, so that stock clients rebuild
them; and those names come in as our classes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

from celeriac import exceptions
from celeriac.exceptions import DecodeError, RemoteError
from celeriac.wire import content, foreign

_OWN = exceptions.__name__

_args = vars(BaseException)["args"].__get__
_module, _qualname = vars(type)["__module__"].__get__, vars(type)["__qualname__"].__get__


def dump(exc: BaseException, *, serializer: str = "json") -> dict[str, Any]:
    """Return type, arguments and module of the exception. Arguments that cannot be written go as their repr."""
    cls = type(exc)
    module, name = foreign.GOES_OUT_AS.get(cls) or names_of(cls)
    return {
        "exc_type": name,
        "exc_message": [arg if content.is_writable(arg, serializer) else _repr(arg) for arg in _arguments(exc)],
        "exc_module": module,
    }


def load(data: Any, *, allow_import: bool = False) -> BaseException:
    """Return the exception that `dump`, or stock Celery, described.

    The class is ours for a name of Celery's; else the one of that name in a module that is loaded already, or may be
    imported when `allow_import`; else, and when it is no exception class or cannot be made from these arguments, a
    subclass of `RemoteError` with the same name and module. Nothing is called but an exception class. Raises
    DecodeError when `data` describes no exception.
    """
    if isinstance(data, BaseException):
        return data
    if not isinstance(data, Mapping) or not isinstance(data.get("exc_type"), str):
        raise DecodeError(f"a {type(data).__name__} without exc_type describes no exception")
    name, module = data["exc_type"], data.get("exc_module")
    if not isinstance(module, str):
        module = _OWN
    message = data.get("exc_message", "")
    args = message if isinstance(message, list | tuple) else (message,)
    cls = foreign.OURS.get((module, name)) or _find(module, name, allow_import=allow_import)
    if cls is not None:
        try:
            made = cls(*args)
        except Exception:  # noqa: BLE001  a constructor of the user's may throw anything; the stand-in holds all we know
            return _stand_in(module, name)(*args)
        if isinstance(made, BaseException):
            return made
    return _stand_in(module, name)(*args)


def names_of(cls: type) -> tuple[str, str]:
    """Return module and qualified name of a class, also when its metaclass has something else, or a failure, there."""
    module: Any = _module(cls)
    return module if isinstance(module, str) else "?", _qualname(cls)


def _arguments(exc: BaseException) -> tuple[Any, ...]:
    try:
        return tuple(exc.args)
    except BaseException:  # noqa: BLE001  a property of the user's may throw anything; these it was made with
        made: tuple[Any, ...] = _args(exc)
        return made


def _find(module_name: str, qualname: str, *, allow_import: bool) -> type[BaseException] | None:
    module = sys.modules.get(module_name)
    if module is None and allow_import:
        try:
            module = importlib.import_module(module_name)
        except Exception:  # noqa: BLE001  whatever the import throws, the stand-in is the answer
            return None
    if not isinstance(module, ModuleType):
        return None
    found: Any = module
    for part in qualname.split("."):
        # Not getattr: a module's __getattr__ and a class's descriptors are code, and the name is the sender's.
        found = vars(found).get(part) if isinstance(found, ModuleType | type) else None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


@lru_cache(maxsize=256)
def _stand_in(module: str, qualname: str) -> type[RemoteError]:
    try:
        return type(
            qualname.rpartition(".")[2],
            (RemoteError,),
            {"__module__": module, "__qualname__": qualname, "__doc__": RemoteError.__doc__},
        )
    except ValueError:  # a name that no class can have, such as one with a NUL or half a surrogate pair
        return RemoteError


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except BaseException as error:  # noqa: BLE001  a repr of the user's may throw anything
        return f"<{names_of(type(value))[1]}: repr failed with {names_of(type(error))[1]}>"
