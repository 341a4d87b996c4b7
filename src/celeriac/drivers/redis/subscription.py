"""An open ear for broadcasts, and for the replies that are kept on a list for one asker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from celeriac.drivers.redis.bindings import reply_entry
from celeriac.drivers.redis.channels import Channels, Listened
from celeriac.drivers.redis.client import Client
from celeriac.drivers.redis.errors import NoAnswer, Refusal, WireError
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command, pack, pack_all
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.wire import Reply, Wire
from celeriac.exceptions import DecodeError
from celeriac.interfaces.pubsub import Channel, Post
from celeriac.wire import envelope
from celeriac.wire.message import Message, Unreadable

__all__ = ["RedisSubscription"]

_ROUND: Final = 3.5  # seconds; as long a list is waited for, and so often it is seen whether others doubt the server
_LATE: Final = 1.0  # seconds beyond that until a connection counts as dead: it is left within 5 s


class RedisSubscription:
    """Posts on some channels. Implements `Subscription`. One connection for pub/sub, one for replies, as needed."""

    def __init__(
        self, client: Client, channels: Channels, keys: Keys, wanted: Sequence[Channel], patience: float
    ) -> None:
        self._patience = patience  # seconds between signs of life, asked for where there are none
        self._client = client
        self._channels = channels
        self._keys = keys
        self._wanted = tuple(wanted)
        self._listened = [one for channel in wanted if channel.kind != "direct" for one in channels.listened(channel)]
        self._replies = {channels.reply_list(channel): channel for channel in wanted if channel.kind == "direct"}
        self._begin()

    def _begin(self) -> None:
        self._wake = Wake()
        self._reading_lock = threading.Lock()  # guards the two flags
        self._is_reading = False
        self._is_closed = False
        self._wire: Wire | None = None
        self._heard_at = 0.0
        self._generation = self._client.pool.generation
        self._is_pinged = False
        self._mailbox: Wire | None = None
        self._asked_at: float | None = None

    def open(self) -> None:
        """Connect and subscribe; when it returns, every later post is heard. Raises `BrokerError`."""
        try:
            if self._listened and self._wire is None:
                self._subscribe()
            if self._replies and self._mailbox is None:
                self._mailbox = self._client.pool.open()
                self._bind("SADD")
        except WireError as error:
            self._drop()
            raise self._client.error(error, doing=self._doing()) from error

    def get(self, *, limit: int, wait: float) -> list[Post]:
        if not self._begin_reading():
            return []
        try:
            self.open()
            return self._get(limit, time.monotonic() + wait)
        except WireError as error:
            self._drop()
            raise self._client.error(error, doing=self._doing()) from error
        finally:
            with self._reading_lock:
                self._is_reading = False
                is_closed = self._is_closed
            if is_closed:
                self._finish()

    def close(self) -> None:
        with self._reading_lock:
            if self._is_closed:
                return
            self._is_closed = True
            is_reading = self._is_reading
        if is_reading:
            self._wake.call()  # the reader finishes as it returns
        else:
            self._finish()

    def forget_parent(self) -> None:
        """Begin anew after a fork: the child connects when it next gets."""
        self._drop()
        self._wake.close()
        self._begin()

    def _get(self, limit: int, until: float) -> list[Post]:
        posts: list[Post] = []
        while True:
            self._hear(posts, limit)
            self._collect(posts, limit)
            now = time.monotonic()
            if posts or now >= until or self._closing():
                return posts
            sockets = [wire.socket if wire is not None else None for wire in (self._wire, self._mailbox)]
            ready = readable([*sockets, self._wake.receiver], min(until, self._check_pulse(now)) - now)
            if self._wake.receiver in ready:
                self._wake.hear()

    def _begin_reading(self) -> bool:
        with self._reading_lock:
            self._is_reading = not self._is_closed
            return self._is_reading

    def _closing(self) -> bool:
        with self._reading_lock:
            return self._is_closed

    def _hear(self, posts: list[Post], limit: int) -> None:
        wire = self._wire
        while wire is not None and len(posts) < limit and wire.has_answer():
            self._heard_at, self._is_pinged = time.monotonic(), False
            push = _answer(wire)
            post = self._post(push)
            if post is not None:
                posts.append(post)

    def _collect(self, posts: list[Post], limit: int) -> None:
        """Read what came for the reply lists, and leave one BRPOP with the server."""
        wire = self._mailbox
        while wire is not None and len(posts) < limit:
            if self._asked_at is None:
                wire.send(pack(("BRPOP", *self._replies, _ROUND)))
                self._asked_at = time.monotonic()
            if not wire.has_answer():
                return
            found = _answer(wire)
            self._asked_at = None
            if found is not None:
                posts.append(Post(self._replies[found[0].decode()], _message(found[1])))

    def _check_pulse(self, now: float) -> float:
        """Ask a silent server for a word; return the moment of the next check. Raises when it does not answer."""
        moments = []
        if self._wire is not None:
            if self._generation != self._client.pool.generation:
                raise NoAnswer("another connection of this process found the server dead")
            if not self._is_pinged and now >= self._heard_at + self._patience:
                self._wire.send(pack(("PING",)))
                self._is_pinged = True
            moments.append(self._heard_at + self._patience + (_LATE if self._is_pinged else 0.0))
        if self._asked_at is not None:
            moments.append(self._asked_at + _ROUND + _LATE)
        first = min(moments, default=now + _ROUND)
        if first <= now:
            raise NoAnswer("the server gave no sign of life")
        return min(first, now + _ROUND)

    def _post(self, push: Reply) -> Post | None:
        kind, name = push[0], push[-2].decode()
        if kind == b"message":
            heard_by = name
        elif kind == b"pmessage":
            heard_by = push[1].decode()
        else:
            return None
        # A post is heard once for each pattern that fits; the first of ours that fits takes it.
        for one in self._listened:
            if self._channels.fits(one, name):
                return self._addressed(one, name, push[-1]) if one.name == heard_by else None
        return None

    def _addressed(self, one: Listened, name: str, raw: bytes) -> Post:
        key = self._channels.routing_key(name, one.channel)
        return Post(Channel(one.channel.exchange, one.channel.kind, key), _message(raw))

    def _subscribe(self) -> None:
        self._generation = self._client.pool.generation
        wire = self._wire = self._client.pool.open()
        names = list(dict.fromkeys(one.name for one in self._listened if not one.is_pattern))
        patterns = list(dict.fromkeys(one.name for one in self._listened if one.is_pattern))
        asked = (("SUBSCRIBE", *names), ("PSUBSCRIBE", *patterns))
        wire.send(pack_all([command for command in asked if len(command) > 1]))
        for _ in range(len(names) + len(patterns)):
            _answer(wire)
        self._heard_at, self._is_pinged = time.monotonic(), False

    def _bind(self, command: str) -> None:
        """Enter the reply lists into kombu's binding tables, by which stock workers find them, or remove them."""
        entries: list[Command] = [
            (command, self._keys.binding + channel.exchange, reply_entry(channel, self._keys.separator))
            for channel in self._replies.values()
        ]
        if command == "SREM":
            entries.append(("UNLINK", *self._replies))
        if entries:
            self._client.all(entries, doing=self._doing())

    def _finish(self) -> None:
        had_replies = self._mailbox is not None
        self._drop()
        self._wake.close()
        if had_replies:
            self._bind("SREM")

    def _drop(self) -> None:
        for wire in (self._wire, self._mailbox):
            if wire is not None:
                wire.close()
        self._wire = self._mailbox = self._asked_at = None

    def _doing(self) -> str:
        return f"listening to exchange {', '.join(repr(channel.exchange) for channel in self._wanted)}"


def _answer(wire: Wire) -> Reply:
    reply = wire.read()
    if isinstance(reply, Refusal):
        raise reply
    return reply


def _message(raw: bytes) -> Message | Unreadable:
    try:
        return envelope.decode(raw).message
    except DecodeError as error:
        return Unreadable(raw, str(error))
