"""The contract of broadcasting: at most once, to those who listen now. Remote control, events, wake-ups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from celeriac.wire.message import Message, Unreadable

PATIENCE: Final = 3.5
"""Seconds that whoever waits for answers, or for what is not kept, can do without."""


class Channel(Struct, frozen=True):
    """Where a post goes, in AMQP's terms.

    ``fanout``: every subscriber of `exchange` gets it. ``topic``: those whose `routing_key` pattern matches (words
    separated by dots, ``*`` for one word, ``#`` for any number). ``direct``: those with the same `routing_key`.
    """

    exchange: str
    kind: Literal["fanout", "topic", "direct"] = "fanout"
    routing_key: str = ""


class Post(Struct, frozen=True):
    """A message on a channel. For a post received, `channel.routing_key` is the one it was published with."""

    channel: Channel
    message: Message | Unreadable


class Subscription(Protocol):
    """An open ear. Safe for use by one reader thread; `close` may be called from any."""

    def get(self, *, limit: int, wait: float) -> Sequence[Post]:
        """Return up to `limit` posts, waiting up to `wait` seconds for the first. Empty on time-out.

        Raises `BrokerError` when the connection is lost; posts published while it was away are gone.
        """

    def close(self) -> None:
        """Stop listening and free the connection. Idempotent; a waiting `get` returns empty."""


class PubSub(Protocol):
    """Broadcast, at most once. Thread-safe. Raises `BrokerError` kin."""

    @property
    def wakes_all(self) -> bool:
        """Whether a `get` that waits is woken by every change of the store: who has time looks now and then instead."""

    def publish(self, posts: Sequence[Post]) -> None:
        """Send the posts to whoever listens now; return without knowing who did."""

    def subscribe(self, channels: Sequence[Channel], *, patience: float = PATIENCE) -> Subscription:
        """Listen; when it returns, every later `publish` is heard.

        `patience` is for how many seconds, about, it may go unnoticed that the connection is dead, where the store has
        to be asked to find that out.
        """

    def close(self) -> None:
        """Let go of every connection, open subscriptions included. Idempotent."""
