"""Broadcasts in the process's memory: each subscription has a bounded queue of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from celeriac.interfaces.pubsub import PATIENCE, Channel, Post, Subscription
from celeriac.interfaces.topics import listener

UNREAD_POSTS_KEPT: Final = 50_000
"""What a subscriber that does not read may have waiting; then the oldest are dropped (at most once)."""


class Ears:
    """All subscriptions of one store; `listening` guards the set."""

    def __init__(self) -> None:
        self.listening = threading.Lock()
        self.subscriptions: set[MemorySubscription] = set()


class MemorySubscription:
    """One reader's queue of posts; `arrived` guards it."""

    def __init__(self, ears: Ears, channels: Sequence[Channel]) -> None:
        self.hears = listener(channels)
        self._ears = ears
        self._arrived = threading.Condition()
        self._posts: deque[Post] = deque(maxlen=UNREAD_POSTS_KEPT)
        self._closed = False

    def put(self, posts: Sequence[Post]) -> None:
        with self._arrived:
            self._posts.extend(posts)
            self._arrived.notify_all()

    def get(self, *, limit: int, wait: float) -> Sequence[Post]:
        end = time.monotonic() + wait
        with self._arrived:
            while not self._posts and not self._closed and (remaining := end - time.monotonic()) > 0:
                self._arrived.wait(remaining)
            if self._closed:
                return []
            return [self._posts.popleft() for _ in range(min(limit, len(self._posts)))]

    def close(self) -> None:
        with self._ears.listening:
            self._ears.subscriptions.discard(self)
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()


class MemoryPubSub:
    """The pub/sub contract on one `Ears`. Thread-safe."""

    wakes_all = False

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._mine: set[MemorySubscription] = set()

    def publish(self, posts: Sequence[Post]) -> None:
        with self._ears.listening:
            subscriptions = list(self._ears.subscriptions)
            for subscription in subscriptions:
                subscription.put([post for post in posts if subscription.hears(post.channel)])

    def subscribe(self, channels: Sequence[Channel], *, patience: float = PATIENCE) -> Subscription:  # noqa: ARG002  nothing dies
        subscription = MemorySubscription(self._ears, channels)
        with self._ears.listening:
            self._ears.subscriptions.add(subscription)
            self._mine = (self._mine & self._ears.subscriptions) | {subscription}
        return subscription

    def close(self) -> None:
        with self._ears.listening:
            mine, self._mine = self._mine, set()
        for subscription in mine:
            subscription.close()
