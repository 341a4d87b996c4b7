"""Broadcast over the server's own pub/sub, on kombu's channels; replies to one asker over a list, as kombu's are."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from celeriac.drivers.redis.channels import Channels
from celeriac.drivers.redis.client import Client
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.subscription import RedisSubscription
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.pubsub import PATIENCE, Channel, Post
from celeriac.wire import envelope
from celeriac.wire.message import Unreadable

__all__ = ["RedisPubSub"]

_REPLIES_LAST: Final = 60  # seconds; whoever asked has stopped listening by then
_REPLIES_KEPT: Final = 10_000  # of one asker; older ones go first


class RedisPubSub:
    """Kombu's fanout, topic and reply channels on Redis. Implements `PubSub`."""

    wakes_all = False

    def __init__(self, client: Client, keys: Keys, options: Mapping[str, Any]) -> None:
        self._client = client
        self._keys = keys
        self._channels = Channels(keys, client.pool.address.db, options)
        self._subscriptions: WeakSet[RedisSubscription] = WeakSet()
        self._begin()
        after_fork_in_child(self)

    def _begin(self) -> None:
        self._salt = os.urandom(6).hex()
        self._numbers = itertools.count()
        self._subscriptions_lock = threading.Lock()

    def publish(self, posts: Sequence[Post]) -> None:
        commands: list[Command] = []
        for post in posts:
            channel = post.channel
            raw = self._encode(post)
            if channel.kind == "direct":
                mailbox = self._channels.reply_list(channel)
                commands.append(("LPUSH", mailbox, raw))
                commands.append(("LTRIM", mailbox, 0, _REPLIES_KEPT - 1))
                commands.append(("EXPIRE", mailbox, _REPLIES_LAST))
            else:
                commands.append(("PUBLISH", self._channels.name(channel), raw))
        if commands:
            self._client.all(commands, doing=f"publishing to exchange {posts[0].channel.exchange!r}")

    def subscribe(self, channels: Sequence[Channel], *, patience: float = PATIENCE) -> RedisSubscription:
        subscription = RedisSubscription(self._client, self._channels, self._keys, channels, patience)
        with self._subscriptions_lock:
            self._subscriptions.add(subscription)
        subscription.open()
        return subscription

    def close(self) -> None:
        with self._subscriptions_lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
        self._client.pool.close()

    def forget_parent(self) -> None:
        """Begin anew after a fork; inherited subscriptions connect again at their next `get`."""
        self._begin()
        for subscription in list(self._subscriptions):
            subscription.forget_parent()

    def _encode(self, post: Post) -> bytes:
        if isinstance(post.message, Unreadable):
            return post.message.raw
        return envelope.encode(
            post.message,
            exchange=post.channel.exchange,
            routing_key=post.channel.routing_key,
            priority=None,
            delivery_tag=f"{self._salt}{next(self._numbers):x}",
        )
