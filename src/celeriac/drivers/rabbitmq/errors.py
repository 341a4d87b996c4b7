"""RabbitMQ's refusals as celeriac's errors: what failed, where, and what to do."""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from celeriac.exceptions import BackendError, BrokerError, BrokerUnavailable, OperationalError

__all__ = [
    "BACKEND",
    "BROKER",
    "Blocked",
    "ChannelClosed",
    "Failing",
    "Kind",
    "LinkLost",
    "LoginRefused",
    "NoAnswer",
    "NotTaken",
    "QueueGone",
    "TooLarge",
    "WireError",
    "translate",
]


class WireError(Exception):
    """Something went wrong between us and the server. Does not leave the driver: see `translate`."""


class LinkLost(WireError):
    """The connection could not be made, or is of no use any more."""


class NoAnswer(LinkLost):
    """The server took too long."""


class LoginRefused(LinkLost):
    """The server does not let us in."""


class Blocked(WireError):
    """The server takes no messages for now: it is short of memory or disk."""


class NotTaken(WireError):
    """A queue does not take a message."""

    def __init__(self, queue: str) -> None:
        super().__init__(f"queue {queue!r} did not take a message: it is full, has no leader, or was deleted now")


class TooLarge(WireError):
    """A message does not fit into what the server takes."""


class ChannelClosed(WireError):
    """The server refused something, and has closed the channel on which it was asked. The connection goes on.

    `code` is the server's, or `NODE_AWAY`.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = NODE_AWAY if code == NOT_FOUND and _IS_AWAY in text else code


class QueueGone(ChannelClosed):
    """A queue was deleted, or its node is away. What is held of others on the channel that takes stays there."""


class Kind(Struct, frozen=True):
    """Which errors one contract raises: when the server is away, and when it refuses."""

    away: type[OperationalError]
    refused: type[OperationalError]


class HasLocation(Protocol):
    """What has a name that may be shown."""

    @property
    def location(self) -> str: ...


BROKER: Final = Kind(BrokerUnavailable, BrokerError)
BACKEND: Final = Kind(BackendError, BackendError)

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
NODE_AWAY: Final = -404
"""The queue is there, on a node that is not; the server says `NOT_FOUND` of this too."""
_IS_AWAY: Final = "is down or inaccessible"

_ADVICE: Final = {
    ACCESS_REFUSED: "the user may not do this: grant it the permissions that docs/drivers/rabbitmq.md lists",
    NODE_AWAY: "the node of the cluster that has this queue is down: start it, or have queues that are on several nodes"
    " (task_default_queue_type='quorum')",
    NOT_FOUND: "it is not there: start a worker, which declares its queues, or declare it",
    RESOURCE_LOCKED: "another connection has it for itself",
    PRECONDITION_FAILED: "what is there has other arguments than are asked for: delete it, or configure the same ones",
}
_TOO_LARGE: Final = "message size"
_SMALLER: Final = "this is larger than the server takes: raise its max_message_size, or keep large data elsewhere"
_LATER: Final = frozenset({NODE_AWAY, 320, 506, 541, 542})
"""Codes of a server that cannot serve now, and may later: it is told to end, or short of something."""


def translate(error: WireError, *, kind: Kind, doing: str, location: str) -> OperationalError:
    """Return the error to raise in place of the connection's.

    `doing` says what was tried, as in "sending to queue 'mail'"; `location` names the server without its password.
    """
    where = f"RabbitMQ at {location} failed while {doing}"
    is_too_large = isinstance(error, ChannelClosed) and error.code == PRECONDITION_FAILED and _TOO_LARGE in str(error)
    if is_too_large or isinstance(error, TooLarge):
        said = f"{_SMALLER} ({_said(error)})" if is_too_large else _said(error)
        refused = kind.refused(f"{where}: {said}.")
        refused.is_for_good = True
        return refused
    if isinstance(error, ChannelClosed):
        advice = _ADVICE.get(error.code)
        raised = kind.away if error.code in _LATER else kind.refused
        return raised(f"{where}: {advice} ({_said(error)})." if advice else f"{where}: {_said(error)}.")
    if isinstance(error, NotTaken):
        return kind.refused(f"{where}: {_said(error)}.")
    if isinstance(error, Blocked):
        return kind.away(
            f"{where}: it takes no messages for now, its alarm says {_said(error)!r}: give it memory or disk, or let"
            " workers drain the queues."
        )
    if isinstance(error, NoAnswer):
        return kind.away(f"{where}: no answer in time ({_said(error)}). Is the server, or the way to it, frozen?")
    if isinstance(error, LoginRefused):
        return kind.away(f"{where}: {_said(error)}. Are user, password and virtual host in the URL right?")
    return kind.away(f"{where}: {_said(error)}. Is the server running, and is the URL right?")


class Failing:
    """A context in which a connection's errors are raised as `translate` gives them; `server` is asked for its name."""

    __slots__ = ("_doing", "_kind", "_server")

    def __init__(self, kind: Kind, doing: str, server: HasLocation) -> None:
        self._kind = kind
        self._doing = doing
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, WireError):
            raise translate(error, kind=self._kind, doing=self._doing, location=self._server.location) from error


def _said(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
