"""Broadcast by exchanges, as stock Celery's remote control, events and replies use them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakSet

from celeriac.drivers.rabbitmq.channel import Channel
from celeriac.drivers.rabbitmq.contents import Properties, write_properties
from celeriac.drivers.rabbitmq.errors import BROKER, NOT_FOUND, ChannelClosed, WireError, translate
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import read
from celeriac.drivers.rabbitmq.publishing import Post as Published
from celeriac.drivers.rabbitmq.publishing import publish
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.exceptions import EncodeError
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.pubsub import PATIENCE, Post
from celeriac.interfaces.pubsub import Channel as Place
from celeriac.wire.message import Unreadable

__all__ = ["RabbitPubSub"]

_DURABLE: Final = frozenset({"topic"})
"""Kinds of exchanges that outlive the server, as stock Celery declares them."""
_TRANSIENT: Final = 1
_UNREAD: Final = 300_000
"""Milliseconds that a post waits for a reader; kombu's own number."""
_KEPT: Final = 50_000
"""Posts that wait for a reader; then the oldest go."""


class RabbitPubSub:
    """The pub/sub contract on a connection of its own. Thread-safe.

    A subscription is an exclusive queue, which ends with its connection; the server keeps its order and its limits.
    """

    wakes_all = False

    def __init__(self, links: Links) -> None:
        self._links = links
        self._begin()
        after_fork_in_child(self)

    def _begin(self) -> None:
        self._guard_known = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self._subscriptions: WeakSet[_Subscription] = WeakSet()

    def forget_parent(self) -> None:
        """Begin anew after a fork; inherited subscriptions are the parent's."""
        self._begin()

    def publish(self, posts: Sequence[Post]) -> None:
        if not posts:
            return
        try:
            self._publish([_published(post) for post in posts], [post.channel for post in posts])
        except WireError as error:
            raise self.error(error, f"publishing to exchange {posts[0].channel.exchange!r}") from error

    def subscribe(self, channels: Sequence[Place], *, patience: float = PATIENCE) -> _Subscription:  # noqa: ARG002  heartbeats tell
        try:
            with self._guard_known:
                self._known.clear()  # an exchange that is there by hearsay may have ended with the server
            self._declare(channels)
            subscription = _Subscription(self, Channel(self._links.link()), channels)
        except WireError as error:
            raise self.error(error, f"listening to exchange {channels[0].exchange!r}") from error
        with self._guard_known:
            self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        with self._guard_known:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
        self._links.close()

    def error(self, error: WireError, doing: str) -> Exception:
        """Return the error to raise for what the connection says."""
        return translate(error, kind=BROKER, doing=doing, location=self._links.connector.address.location)

    def _publish(self, published: Sequence[Published], places: Sequence[Place]) -> None:
        self._declare(places)
        try:
            publish(self._links, published, mandatory=False)
        except ChannelClosed as error:
            if error.code != NOT_FOUND:
                raise
            with self._guard_known:  # an exchange that does not outlive the server was lost with it
                self._known.clear()
            self._declare(places)
            publish(self._links, published, mandatory=False)

    def _declare(self, places: Sequence[Place]) -> None:
        for place in places:
            known = (place.exchange, place.kind)
            if known in self._known:
                continue
            with self._links.channel() as channel:
                durable = place.kind in _DURABLE
                channel.call("exchange.declare", 0, place.exchange, place.kind, False, durable, False, False, False, {})
            with self._guard_known:
                self._known.add(known)


class _Subscription:
    """One reader's queue and the channel that it is read on. Implements `Subscription`."""

    def __init__(self, pubsub: RabbitPubSub, channel: Channel, places: Sequence[Place]) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._places = tuple(places)
        self._closed = threading.Event()
        channel.on_arrival = self._forget_oldest
        limits: dict[str, Any] = {"x-message-ttl": _UNREAD, "x-max-length": _KEPT}
        queue = channel.call("queue.declare", 0, "", False, False, True, True, False, limits).arguments[0]
        for place in self._places:
            channel.call("queue.bind", 0, queue, place.exchange, place.routing_key, False, {})
        channel.call("basic.consume", 0, queue, "ear", False, True, True, False, {})

    def get(self, *, limit: int, wait: float) -> Sequence[Post]:
        channel = self._channel
        if self._closed.is_set():
            return []
        try:
            channel.wait_until(lambda: bool(channel.arrivals) or self._closed.is_set(), time.monotonic() + wait)
        except WireError as error:
            if self._closed.is_set():
                return []
            raise self._pubsub.error(error, f"listening to exchange {self._places[0].exchange!r}") from error
        posts: list[Post] = []
        if self._closed.is_set():
            return posts
        while channel.arrivals and len(posts) < limit:
            arrival = channel.arrivals.popleft()
            place = Place(arrival.exchange, self._kind_of(arrival.exchange), arrival.routing_key)
            posts.append(Post(place, read(arrival.header, arrival.body).message))
        return posts

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._channel.abandon()
            self._channel.link.wake()

    def _forget_oldest(self) -> None:
        while len(self._channel.arrivals) > _KEPT:
            self._channel.arrivals.popleft()

    def _kind_of(self, exchange: str) -> Any:
        return next((place.kind for place in self._places if place.exchange == exchange), "fanout")


def _published(post: Post) -> Published:
    message, place = post.message, post.channel
    if isinstance(message, Unreadable):
        properties = Properties(delivery_mode=_TRANSIENT)
        return Published(place.exchange, place.routing_key, write_properties(properties), message.raw)
    properties = Properties(
        message.content_type,
        message.content_encoding,
        message.headers,
        _TRANSIENT,
        None,
        message.correlation_id,
        message.reply_to,
    )
    try:
        return Published(place.exchange, place.routing_key, write_properties(properties), message.body)
    except TableError as error:
        raise EncodeError(f"The post to exchange {place.exchange!r} cannot be sent by AMQP: {error}") from error
