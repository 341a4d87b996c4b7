"""Redis's refusals as celeriac's errors: what failed, where, and what to do."""

from __future__ import annotations

import re
from typing import Final

import redis.exceptions as client
from msgspec import Struct

from celeriac.exceptions import (
    BackendError,
    BrokerError,
    BrokerUnavailable,
    CoordinatorError,
    OperationalError,
)

__all__ = ["BACKEND", "BROKER", "COORDINATOR", "Kind", "translate"]


class Kind(Struct, frozen=True):
    """Which errors one contract raises: when the server is away, and when it refuses."""

    away: type[OperationalError]
    refused: type[OperationalError]


BROKER: Final = Kind(BrokerUnavailable, BrokerError)
BACKEND: Final = Kind(BackendError, BackendError)
COORDINATOR: Final = Kind(CoordinatorError, CoordinatorError)

_AWAY: Final = frozenset({"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"})
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
    "MASTERDOWN": "this replica has lost its primary: give the primary's address, or use Sentinel",
    "BUSY": "the server is busy with a script: try again in a moment",
    "NOREPLICAS": "too few replicas are connected for the server to accept writes: look at the replicas",
    "WRONGTYPE": "another program uses a key of this name: choose another queue name or a global_keyprefix",
    "TRYAGAIN": "the cluster is moving keys: try again in a moment",
}
_CODE: Final = re.compile(r"\b(" + "|".join(_ADVICE) + r")\b")
_BY_CLASS: Final = (
    (client.OutOfMemoryError, "OOM"),
    (client.ReadOnlyError, "READONLY"),
    (client.BusyLoadingError, "LOADING"),
    (client.NoPermissionError, "NOPERM"),
    (client.ClusterDownError, "CLUSTERDOWN"),
    (client.MovedError, "MOVED"),
    (client.ClusterCrossSlotError, "CROSSSLOT"),
    (client.MasterDownError, "MASTERDOWN"),
    (client.TryAgainError, "TRYAGAIN"),
)


def translate(error: BaseException, *, kind: Kind, doing: str, location: str) -> OperationalError:
    """Return the error to raise in place of the client library's.

    `doing` says what was tried, as in "sending to queue 'mail'"; `location` names the server without its password.
    """
    code = code_of(error)
    where = f"Redis at {location} failed while {doing}"
    if code is not None:
        raised = kind.away if code in _AWAY else kind.refused
        return raised(f"{where}: {_ADVICE[code]} ({_said(error)}).")
    if isinstance(error, client.AuthenticationError):
        return kind.refused(f"{where}: {_ADVICE['WRONGPASS']} ({_said(error)}).")
    if isinstance(error, client.TimeoutError):
        return kind.away(f"{where}: no answer in time ({_said(error)}). Is the server, or the way to it, frozen?")
    if isinstance(error, client.ConnectionError | OSError):
        return kind.away(f"{where}: {_said(error)}. Is the server running, and is the URL right?")
    return kind.refused(f"{where}: {_said(error)}.")


def code_of(error: BaseException) -> str | None:
    """Return the server's code word for a refusal that we have advice for, else None.

    Redis 6.2 puts errors of commands inside scripts into other text, so the words are looked for everywhere.
    """
    for cls, code in _BY_CLASS:
        if isinstance(error, cls):
            return code
    if not isinstance(error, client.RedisError) or isinstance(error, client.TimeoutError):
        return None
    found = _CODE.search(str(error))
    if found is not None:
        return found.group(1)
    if isinstance(error, client.AuthenticationError) and "required" in str(error).lower():
        return "NOAUTH"
    return None


def _said(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
