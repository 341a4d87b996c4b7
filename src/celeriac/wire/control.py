"""Remote control as Celery speaks it: a request that every node hears, and the answers of those who are meant.

Requests go out on the fanout exchange ``celery.pidbox``, answers to ``reply.celery.pidbox`` under the routing key of
who asked. Only JSON is read.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec
from msgspec import Struct

from celeriac.exceptions import DecodeError
from celeriac.wire import json
from celeriac.wire.message import JSON, Message, Unreadable

TERM: Final = "SIGTERM"


class ReplyTo(Struct, frozen=True):
    """Where an answer goes."""

    exchange: str
    routing_key: str


class Request(Struct, frozen=True):
    """A command with its arguments, for the nodes in `destination`, or whose names match `pattern`, or all."""

    method: str
    arguments: dict[str, Any] | None = None
    destination: list[str] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: ReplyTo | None = None

    @property
    def is_for_all(self) -> bool:
        return not self.destination and not (self.pattern and self.matcher)

    def is_for(self, nodename: str) -> bool:
        """Tell whether the node of that name is meant. A pattern is a shell's, or with another matcher a regex."""
        if self.destination:
            return nodename in self.destination
        if self.pattern and self.matcher:
            if self.matcher == "glob":
                return fnmatchcase(nodename, self.pattern)
            try:
                return re.match(self.pattern, nodename) is not None
            except re.error:
                return False
        return True


def exchange(prefix: str) -> str:
    """Return the exchange of requests, for a ``control_exchange``."""
    return f"{prefix}.pidbox"


def reply_exchange(prefix: str) -> str:
    """Return the exchange of answers, for a ``control_exchange``."""
    return f"reply.{prefix}.pidbox"


def encode(request: Request, *, expires: float = 0) -> Message:
    """Write a request, which stock workers pass over after the moment `expires`, unless that is 0."""
    body = msgspec.to_builtins(request)
    if request.reply_to is None:
        del body["reply_to"], body["ticket"]
    return Message({"clock": 0, "expires": expires}, json.dumps(body))


def decode(message: Message | Unreadable) -> Request:
    """Read a request. Raises DecodeError."""
    request: Request = _converted(message, Request)
    return request


def encode_reply(nodename: str, answer: Mapping[str, Any], *, ticket: str | None) -> Message:
    """Write a node's answer."""
    return Message({"clock": 0, "ticket": ticket}, json.dumps({nodename: answer}))


def decode_reply(message: Message | Unreadable) -> dict[str, Any]:
    """Read an answer: by the node's name, what it said. Raises DecodeError."""
    reply: dict[str, Any] = _converted(message, dict[str, Any])
    return reply


def signal_name(given: Any) -> str:
    """Return the name of a signal, which may be given without its SIG, or as a number. Raises ValueError."""
    try:
        if isinstance(given, int):
            return signal.Signals(given).name
        name = str(given).upper()
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].name
    except (KeyError, ValueError):
        raise ValueError(f"There is no signal {given!r} here.") from None


def signal_number(name: str) -> int | None:
    """Return the number that a signal has here; None where there is none of that name."""
    return next((each.value for each in signal.Signals if each.name == name), None)


def _converted(message: Message | Unreadable, kind: Any) -> Any:
    if isinstance(message, Unreadable):
        raise DecodeError(message.reason)
    if message.content_type != JSON:
        raise DecodeError(f"{message.content_type} is not read here")
    try:
        return msgspec.convert(json.loads(message.body), kind)
    except Exception as error:  # what hostile text makes the reader throw, RecursionError included
        raise DecodeError(f"no such JSON: {type(error).__name__}: {error}"[:400]) from error
