"""What SQLite's errors mean, in words that say what to do."""

from __future__ import annotations

import sqlite3
from typing import Final

from celeriac.exceptions import BrokerError, BrokerUnavailable, ImproperlyConfigured, OperationalError

_ADVICE: Final = {
    "SQLITE_BUSY": "another process kept it locked for longer than busy_timeout; look for a long transaction on it, "
    "or raise busy_timeout in the transport options",
    "SQLITE_LOCKED": "another connection kept it locked; look for a long transaction on it",
    "SQLITE_FULL": "the disk is full; free some space (nothing that was accepted before is lost)",
    "SQLITE_READONLY": "this process may not write to the file or its directory; change their owner or mode",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its directory exists and that this process may write there",
    "SQLITE_PERM": "this process may not open it; change the owner or mode of the file and its directory",
    "SQLITE_NOTADB": "the file is no SQLite database; name another file, or move this one away",
    "SQLITE_CORRUPT": "the file is damaged; stop the workers, keep a copy, and recover it with `sqlite3 FILE .recover`",
    "SQLITE_IOERR": "reading or writing it failed; check the disk, and that it is not on a network file system",
    "SQLITE_TOOBIG": "a message is larger than SQLite allows (1 GB)",
}

TEMPORARY: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED"})
"""Codes after which the connection is as good as before."""

PERMANENT: Final = frozenset({"SQLITE_NOTADB"})
"""Codes that stay until somebody names another file."""


def primary_code(error: sqlite3.Error) -> str:
    """Return the name of the primary result code, "" when the error did not come from SQLite itself."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return next((code for code in _ADVICE if name == code or name.startswith(f"{code}_")), name)


def explain(
    error: sqlite3.Error, location: str, kind: type[OperationalError]
) -> OperationalError | ImproperlyConfigured:
    """Return the error of ours that says what failed and what to do: of the given kind, or `ImproperlyConfigured`
    where trying again cannot help.
    """
    code = primary_code(error)
    if code in PERMANENT:
        return ImproperlyConfigured(f"{location}: {error} ({code}): {_ADVICE[code]}.")
    if kind is BrokerError and code in TEMPORARY | {"SQLITE_CANTOPEN"}:
        kind = BrokerUnavailable
    advice = _ADVICE.get(code)
    return kind(f"{location}: {error}" if advice is None else f"{location}: {error} ({code}): {advice}.")
