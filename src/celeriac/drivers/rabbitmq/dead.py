"""Where dead letters are: a durable queue for each queue that has some, and one that lists those queues' names.

The queue ``celeriac.dead.mail`` has the messages that were rejected from ``mail``, each with headers more: its id, the
reason, and when. RabbitMQ cannot tell which queues there are, so the queue ``celeriac.dead`` has a message for each
name, perhaps several.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from celeriac.clock import Clock
from celeriac.drivers.rabbitmq.contents import NO_PROPERTIES, write_properties
from celeriac.drivers.rabbitmq.errors import NotTaken
from celeriac.drivers.rabbitmq.held import Held
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import copied
from celeriac.drivers.rabbitmq.publishing import Post, most_properties, publish

__all__ = ["DIED", "ID", "INDEX", "MARKED", "REASON", "Cemetery", "dead_queue"]

INDEX: Final = "celeriac.dead"
ID: Final = "x-celeriac-dead-id"
REASON: Final = "x-celeriac-dead-reason"
DIED: Final = "x-celeriac-dead-at"
MARKED: Final = "x-celeriac-dead-redelivered"
_FOR_EVER: Final = 2**31 - 1


def dead_queue(queue: str) -> str:
    """Return the name of the queue that has the dead letters of a queue."""
    return f"{INDEX}.{queue}"


class Cemetery:
    """Writes dead letters. Thread-safe. `queue_type` is that of the queues that are made for them."""

    def __init__(self, links: Links, clock: Clock, *, queue_type: str) -> None:
        self._links = links
        self._clock = clock
        self._type = queue_type
        self._guard_known = threading.Lock()
        self._known: set[str] = set()
        self._numbers = itertools.count()

    def bury(self, helds: Sequence[Held], reason: str) -> None:
        """Store copies of the messages as dead letters. Raises `WireError`, also when one was not taken."""
        for queue in dict.fromkeys(held.queue for held in helds):
            self._ensure(queue)
        died, most = self._clock.now(), most_properties(self._links.link())
        posts = []
        for held in helds:
            extra: dict[str, Any] = {ID: self._new_id(held.queue), REASON: reason, DIED: died}
            if held.arrival.redelivered or held.crashes:
                extra[MARKED] = True
            properties = copied(held.arrival.header, extra=extra, most=most)
            posts.append(Post("", dead_queue(held.queue), properties, held.arrival.body))
        refused = publish(self._links, posts)
        if refused.unroutable:  # a queue was deleted, and all may have been
            self.forget()
            posts = [posts[place] for place in (*refused.unroutable, *refused.unwanted)]
            for queue in dict.fromkeys(held.queue for held in helds):
                self._ensure(queue)
            refused = publish(self._links, posts)
        for place in (*refused.unroutable, *refused.unwanted):
            raise NotTaken(posts[place].routing_key)

    def forget(self) -> None:
        """Take note that queues may be gone."""
        with self._guard_known:
            self._known.clear()

    def _new_id(self, queue: str) -> str:
        """Return an id that sorts by the moment, and then by number; the queue's name is behind the colon."""
        return f"{time.time_ns():019d}-{next(self._numbers):08x}-{os.urandom(4).hex()}:{queue}"

    def _ensure(self, queue: str) -> None:
        if queue in self._known:
            return
        arguments: dict[str, Any] = {}
        if self._type == "quorum":
            # A letter is read by taking and giving it back: that must not count up to its end.
            arguments = {"x-queue-type": "quorum", "x-delivery-limit": _FOR_EVER}
        with self._links.channel() as channel:
            channel.call("queue.declare", 0, INDEX, False, True, False, False, False, arguments)
            channel.call("queue.declare", 0, dead_queue(queue), False, True, False, False, False, arguments)
        publish(self._links, [Post("", INDEX, write_properties(NO_PROPERTIES), queue.encode())])
        with self._guard_known:
            self._known.add(queue)
