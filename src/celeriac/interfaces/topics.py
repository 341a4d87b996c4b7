"""Who hears a post: AMQP's rules for fanout, direct and topic channels, for stores without exchanges."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from celeriac.interfaces.pubsub import Channel


def listener(channels: Iterable[Channel]) -> Callable[[Channel], bool]:
    """Return what tells whether a post on a channel is heard by one who subscribed to `channels`."""
    fanouts = {channel.exchange for channel in channels if channel.kind == "fanout"}
    directs = {(channel.exchange, channel.routing_key) for channel in channels if channel.kind == "direct"}
    topics = [(channel.exchange, pattern(channel.routing_key)) for channel in channels if channel.kind == "topic"]

    def hears(channel: Channel) -> bool:
        if channel.kind == "fanout":
            return channel.exchange in fanouts
        if channel.kind == "direct":
            return (channel.exchange, channel.routing_key) in directs
        return any(
            exchange == channel.exchange and regex.fullmatch(f".{channel.routing_key}") for exchange, regex in topics
        )

    return hears


@lru_cache(maxsize=1024)
def pattern(binding: str) -> re.Pattern[str]:
    """Compile a topic binding: words separated by dots, ``*`` for one word, ``#`` for any number of words.

    Each word brings the dot before it, and the text is matched with a dot in front, so that ``#`` may stand for none.
    """
    words = {"*": r"\.[^.]+", "#": r"(?:\.[^.]*)*"}
    return re.compile("".join(words.get(word, r"\." + re.escape(word)) for word in binding.split(".")), re.DOTALL)
