"""Broadcasts as rows with a short life, read by each subscriber from where it began to listen."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final, Literal, cast

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import BrokerError, DecodeError
from celeriac.interfaces.pubsub import PATIENCE, Channel, Post, Subscription
from celeriac.interfaces.topics import listener
from celeriac.wire.envelope import decode, encode
from celeriac.wire.message import Message, Unreadable

LIFE: Final = 60.0
"""Seconds for which a post is kept; a subscriber that reads less often than that misses some (at most once)."""

READ_AT_ONCE: Final = 500

_SQL: Final = queries.load("pubsub")


class SQLiteSubscription:
    """One reader's place in the table of posts."""

    def __init__(self, database: Database, channels: Sequence[Channel]) -> None:
        self._database = database
        self._hears = listener(channels)
        self._heard: list[Post] = []
        self._closed = threading.Event()
        with database.read(BrokerError) as connection:
            (self._last,) = connection.execute(_SQL["newest"]).fetchone()

    def get(self, *, limit: int, wait: float) -> Sequence[Post]:
        end = time.monotonic() + wait
        while not self._closed.is_set():
            seen = self._database.watch.generation
            if not self._heard:
                self._read()
            remaining = end - time.monotonic()
            if self._heard or remaining <= 0:
                posts, self._heard = self._heard[:limit], self._heard[limit:]
                return posts
            if not self._closed.is_set():
                self._database.watch.wait(seen, remaining)
        return []

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        self._closed.set()
        self._database.watch.ring()

    def _read(self) -> None:
        """Read on until something is heard or nothing is left."""
        while not self._heard:
            with self._database.read(BrokerError) as connection:
                rows = connection.execute(_SQL["read"], (self._last, READ_AT_ONCE)).fetchall()
            if not rows:
                return
            self._last = rows[-1][0]
            for _, exchange, kind, routing_key, payload in rows:
                channel = Channel(exchange, cast("Literal['fanout', 'topic', 'direct']", kind), routing_key)
                if self._hears(channel):
                    self._heard.append(Post(channel, _message(payload)))


class SQLitePubSub:
    """The pub/sub contract on one `Database`. Thread-safe."""

    wakes_all = True

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._listing = threading.Lock()
        self._subscriptions: list[SQLiteSubscription] = []

    def publish(self, posts: Sequence[Post]) -> None:
        if not posts:
            return
        now = self._clock.now()
        rows = [_row(post, now + LIFE) for post in posts]
        with self._database.write(BrokerError) as connection:
            connection.executemany(_SQL["publish"], rows)
            connection.execute(_SQL["prune"], (now,))
        self._database.ring()

    def subscribe(self, channels: Sequence[Channel], *, patience: float = PATIENCE) -> Subscription:  # noqa: ARG002  nothing dies
        subscription = SQLiteSubscription(self._database, channels)
        with self._listing:
            self._subscriptions = [each for each in self._subscriptions if not each.is_closed]
            self._subscriptions.append(subscription)
        return subscription

    def close(self) -> None:
        with self._listing:
            subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.close()
        self._database.close()


def _row(post: Post, ends: float) -> tuple[str, str, str, float, bytes]:
    channel, message = post.channel, post.message
    if isinstance(message, Unreadable):
        payload = message.raw
    else:
        payload = encode(
            message, exchange=channel.exchange, routing_key=channel.routing_key, priority=None, delivery_tag=""
        )
    return channel.exchange, channel.kind, channel.routing_key, ends, payload


def _message(payload: bytes) -> Message | Unreadable:
    try:
        return decode(payload).message
    except DecodeError as error:
        return Unreadable(payload, str(error))
