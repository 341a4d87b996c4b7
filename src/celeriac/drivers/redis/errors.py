"""Redis's refusals as celeriac's errors: what failed, where, and what to do."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from celeriac.exceptions import (
    BackendError,
    BrokerError,
    BrokerUnavailable,
    CoordinatorError,
    OperationalError,
)

__all__ = [
    "AWAY",
    "BACKEND",
    "BROKER",
    "COORDINATOR",
    "DEPOSED",
    "Asker",
    "ConnectionLost",
    "Kind",
    "NoAnswer",
    "Refusal",
    "WireError",
    "translate",
]


class WireError(Exception):
    """Something went wrong between us and the server. Does not leave the driver: see `translate`."""


class Asker(Struct, frozen=True):
    """How the server knows a connection of ours: by a number and an address, 0 and "" where it does not tell."""

    number: int = 0
    address: str = ""


class ConnectionLost(WireError):
    """The connection could not be made, or is of no use any more."""

    asker: Asker | None = None
    """Who had asked for something, so that it may have been carried out, or may yet be; None when nobody had."""


class NoAnswer(ConnectionLost):
    """The server took too long."""


class Refusal(WireError):
    """The server's own error answer, in its words. The connection goes on."""

    @property
    def code(self) -> str | None:
        """The server's code word for a refusal that we have advice for, else None.

        Redis 6.2 puts errors of commands inside scripts into other text, so the words are looked for everywhere.
        """
        text = str(self)
        found = _CODE.search(text)
        if found is not None:
            return found.group(1)
        return next((code for words, code in _WORDS.items() if words in text.lower()), None)

    @property
    def is_unknown_script(self) -> bool:
        return str(self).startswith("NOSCRIPT")


class Kind(Struct, frozen=True):
    """Which errors one contract raises: when the server is away, and when it refuses."""

    away: type[OperationalError]
    refused: type[OperationalError]


BROKER: Final = Kind(BrokerUnavailable, BrokerError)
BACKEND: Final = Kind(BackendError, BackendError)
COORDINATOR: Final = Kind(CoordinatorError, CoordinatorError)

AWAY: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MAXCLIENTS", "NOREPLICAS", "READONLY", "TRYAGAIN"}
)
"""Codes of a server that cannot serve now, and may later; another may serve in its place."""

DEPOSED: Final = frozenset({"MASTERDOWN", "NOREPLICAS", "READONLY"})
"""Codes of a server whose place another may have taken for good, so that no connection of its past may be used again:
it has become a replica, or its replicas follow another, of which Sentinel tells it only 8 s later."""

_ADVICE: Final = {
    "OOM": "the server is out of memory: raise maxmemory, remove keys, or let workers drain the queues",
    "READONLY": "this is a read-only replica, perhaps after a failover: give the primary's address",
    "MISCONF": "the server cannot save to disk and refuses writes: look at its log and its free disk space",
    "LOADING": "the server is loading its data after a start: try again in a moment",
    "NOAUTH": "the server wants a password: give it in the URL, as in redis://user:password@host",
    "WRONGPASS": "the server refused user name and password: correct them in the URL",
    "NOPERM": "the ACL user may not do this: grant it the commands and keys listed in docs/drivers/redis.md",
    "CLUSTERDOWN": "the cluster is not complete: look at its nodes",
    "MOVED": "this is a Redis Cluster, which is not supported: use a server without cluster mode, or Sentinel",
    "CROSSSLOT": "this is a Redis Cluster, which is not supported: use a server without cluster mode, or Sentinel",
    "MAXCLIENTS": "the server has as many clients as it allows: raise its maxclients, or close some",
    "MASTERDOWN": "this replica has lost its primary: give the primary's address, or use Sentinel",
    "BUSY": "the server is busy with a script: try again in a moment",
    "NOREPLICAS": "too few replicas are connected for the server to accept writes: look at the replicas",
    "WRONGTYPE": "another program uses a key of this name: choose another queue name or a global_keyprefix",
    "TRYAGAIN": "the cluster is moving keys: try again in a moment",
}
_TOO_LARGE: Final = "invalid bulk length"
_SMALLER: Final = "this is larger than the server takes: raise its proto-max-bulk-len, or keep large data elsewhere"
_CODE: Final = re.compile(r"\b(" + "|".join(_ADVICE) + r")\b")
_WORDS: Final = {
    "max number of clients": "MAXCLIENTS",
    "the user executing the script can't": "NOPERM",
    "without any password configured": "WRONGPASS",
    "invalid password": "WRONGPASS",
}
"""How servers say what has no code word."""


def translate(error: WireError, *, kind: Kind, doing: str, location: str) -> OperationalError:
    """Return the error to raise in place of the connection's.

    `doing` says what was tried, as in "sending to queue 'mail'"; `location` names the server without its password.
    """
    where = f"Redis at {location} failed while {doing}"
    if _TOO_LARGE in str(error):
        refused = kind.refused(f"{where}: {_SMALLER} ({_said(error)}).")
        refused.is_for_good = True
        return refused
    if isinstance(error, Refusal):
        code = error.code
        if code is None:
            return kind.refused(f"{where}: {_said(error)}.")
        raised = kind.away if code in AWAY else kind.refused
        return raised(f"{where}: {_ADVICE[code]} ({_said(error)}).")
    if isinstance(error, NoAnswer):
        return kind.away(f"{where}: no answer in time ({_said(error)}). Is the server, or the way to it, frozen?")
    return kind.away(f"{where}: {_said(error)}. Is the server running, and is the URL right?")


def _said(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
