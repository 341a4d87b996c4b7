"""Pickle, for those who accept it. Loaded when it is first used, as most never do (ADR 0012)."""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from celeriac.wire import foreign

_PROTOCOL: Final = 4  # what kombu writes, and every Python that Celery runs on reads


class _Unpickler(pickle.Unpickler):
    """Finds our class for an exception of Celery's: stock workers pickle theirs by name."""

    def find_class(self, module: str, name: str) -> Any:
        return foreign.OURS.get((module, name)) or super().find_class(module, name)


def dumps(value: Any) -> bytes:
    """Write a value. Raises whatever its class does."""
    return pickle.dumps(value, protocol=_PROTOCOL)


def loads(body: bytes) -> Any:
    """Read a value: runs what the sender wants. Raises whatever that does."""
    return _Unpickler(io.BytesIO(body)).load()


def survives(exc: BaseException) -> bool:
    """Tell whether a stock reader can load the exception."""
    try:
        pickle.loads(pickle.dumps(exc))
    except Exception:  # noqa: BLE001  an exception of the user's may fail in any way here; its description never does
        return False
    return True
