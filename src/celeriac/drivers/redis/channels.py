"""Names of kombu's pub/sub channels and reply lists, and which subscriptions a name belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from re import Pattern
from typing import Any, Final

from msgspec import Struct

from celeriac.drivers.redis.bindings import escaped, matches
from celeriac.drivers.redis.keys import Keys
from celeriac.interfaces.pubsub import Channel

__all__ = ["Channels", "Listened"]

_FANOUT_PREFIX: Final = "/{db}."


class Listened(Struct, frozen=True):
    """What to listen to for one channel: a name, or a pattern as the server reads it, and the same as expression."""

    channel: Channel
    name: str
    is_pattern: bool
    expression: Pattern[str]


class Channels:
    """The names in one database, as the transport options have it. Read-only."""

    def __init__(self, keys: Keys, db: int, options: Mapping[str, Any]) -> None:
        prefix = options.get("fanout_prefix", True)
        text = prefix if isinstance(prefix, str) else _FANOUT_PREFIX if prefix else ""
        self._base = keys.prefix + text.replace("{db}", str(db))
        self._lists = keys.prefix

    def name(self, channel: Channel) -> str:
        """Return the channel that a post is published on."""
        start = self._base + channel.exchange
        return f"{start}/{channel.routing_key}" if channel.routing_key else start

    def reply_list(self, channel: Channel) -> str:
        """Return the list that keeps direct posts for one asker; the name is that of pidbox's reply queues."""
        return f"{self._lists}{channel.routing_key}.{channel.exchange}"

    def listened(self, channel: Channel) -> list[Listened]:
        """Return what a subscriber of the channel listens to: posts have a routing key in their name, or none."""
        start = self._base + channel.exchange
        bare = Listened(channel, start, False, re.compile(re.escape(start)))
        if channel.kind == "fanout":
            return [bare, _pattern(channel, start, "*")]
        if channel.routing_key == "#":
            return [bare, _pattern(channel, start, "*")]
        # "a.#" fits "a" too, so the dot before "#" is left to the exact check.
        loose = channel.routing_key.replace(".#", "*").replace("#", "*")
        return [_pattern(channel, start, loose)]

    def routing_key(self, name: str, channel: Channel) -> str:
        """Return the routing key that a post on `name` was published with."""
        return name[len(self._base) + len(channel.exchange) + 1 :]

    def fits(self, listened: Listened, name: str) -> bool:
        """Tell whether a post on `name` is for this subscriber; the server's patterns let more through."""
        if listened.expression.fullmatch(name) is None:
            return False
        channel = listened.channel
        return channel.kind == "fanout" or matches(channel.routing_key, self.routing_key(name, channel))


def _pattern(channel: Channel, start: str, loose: str) -> Listened:
    words = loose.split("*")
    glob = "*".join(escaped(word) for word in words)
    expression = ".*".join(re.escape(word) for word in words)
    return Listened(
        channel, f"{escaped(start)}/{glob}", True, re.compile(f"{re.escape(start)}/{expression}", re.DOTALL)
    )
