"""Celery's binding tables on Redis, and its patterns for topics."""

from __future__ import annotations

import re
from typing import Final

from celeriac.interfaces.pubsub import Channel
from celeriac.routing import QueueSpec

__all__ = ["escaped", "matches", "reply_entry", "table_entry"]

_NO_EXCHANGE: Final = "amq.direct"
_WORDS: Final = {"*": r"[^\.]+", "#": r".*?"}
_GLOB: Final = re.compile(r"([*?\[\]\\])")


def table_entry(spec: QueueSpec, separator: str) -> tuple[str, str]:
    """Return the exchange whose table a queue stands in, and its entry: routing key, pattern, queue."""
    exchange = spec.exchange or _NO_EXCHANGE
    key = spec.routing_key or spec.name
    pattern = _topic_pattern(key) if spec.exchange_type == "topic" else ""
    return exchange, separator.join((key, pattern, spec.name))


def reply_entry(channel: Channel, separator: str) -> str:
    """Return the entry of a reply list in the table of its exchange."""
    return separator.join((channel.routing_key, "", f"{channel.routing_key}.{channel.exchange}"))


def matches(pattern: str, routing_key: str) -> bool:
    """Tell whether a routing key matches a topic pattern: ``*`` is one word, ``#`` any number of words."""
    return _fits(pattern.split("."), routing_key.split("."))


def escaped(text: str) -> str:
    """Return the text so that Redis's patterns take it literally."""
    return _GLOB.sub(r"\\\1", text)


def _fits(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_fits(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _fits(rest, words[1:])


def _topic_pattern(key: str) -> str:
    """Return the regular expression that kombu keeps beside a topic's routing key, and matches against."""
    return "^{}$".format(r"\.".join(_WORDS.get(word) or _literal(word) for word in key.split(".")))


def _literal(word: str) -> str:
    # Not re.escape: the text must be the same as kombu's, or the table would hold the queue twice.
    return "".join(char if char.isalnum() or char in "#*" else "\\" + char for char in word)
