"""Messages that wait: Celery's 28 queues, each for a power of two of seconds, and nine of ours for parts of a second.

A message is published to the topic exchange of the highest level with the seconds to wait, in 28 binary digits, before
its routing key. Each level keeps it for its time, or lets it pass, by its digit. The parts of a second come first, in
a queue for each tenth; they are rounded up, so that nothing is early.
"""

from __future__ import annotations

from typing import Any, Final

from celeriac.drivers.rabbitmq.channel import Channel

__all__ = ["DELIVERY", "LONGEST", "declare_delays", "delayed_route"]

_LEVELS: Final = 28
_PARTS: Final = 10
DELIVERY: Final = "celery_delayed_delivery"
LONGEST: Final = float(2**_LEVELS - 1)
"""Seconds that a message can wait."""


def delayed_route(delay: float, key: str) -> tuple[str, str]:
    """Return the exchange and the routing key that keep a message for `delay` seconds, at most a tenth longer."""
    tenths = -int(-min(delay, LONGEST) * _PARTS // 1)
    seconds, part = divmod(tenths, _PARTS)
    digits = ".".join(f"{seconds:0{_LEVELS}b}")
    return (_part(part) if part else _level(_LEVELS - 1)), f"{digits}.{key}"


def declare_delays(channel: Channel, queue_type: str) -> None:
    """Declare exchanges, queues and bindings, the same as stock Celery's and kombu's."""
    for level in range(_LEVELS - 1, -1, -1):
        _declare_exchange(channel, _level(level), "topic")
        following = _level(level - 1) if level else DELIVERY
        _declare_queue(channel, _level(level), queue_type, milliseconds=1000 << level, following=following)
        above = "*." * (_LEVELS - 1 - level)
        channel.call("queue.bind", 0, _level(level), _level(level), f"{above}1.#", False, {})
    _declare_exchange(channel, DELIVERY, "topic")
    for level in range(_LEVELS - 1, -1, -1):
        following = _level(level - 1) if level else DELIVERY
        above = "*." * (_LEVELS - 1 - level)
        channel.call("exchange.bind", 0, following, _level(level), f"{above}0.#", False, {})
    for part in range(1, _PARTS):
        _declare_exchange(channel, _part(part), "fanout")
        milliseconds = part * 1000 // _PARTS
        _declare_queue(channel, _part(part), queue_type, milliseconds=milliseconds, following=_level(_LEVELS - 1))
        channel.call("queue.bind", 0, _part(part), _part(part), "", False, {})


def _level(level: int) -> str:
    return f"celery_delayed_{level}"


def _part(part: int) -> str:
    return f"celeriac_delayed_tenths_{part}"


def _declare_exchange(channel: Channel, name: str, kind: str) -> None:
    channel.call("exchange.declare", 0, name, kind, False, True, False, False, False, {})


def _declare_queue(channel: Channel, name: str, queue_type: str, *, milliseconds: int, following: str) -> None:
    arguments: dict[str, Any] = {
        "x-queue-type": queue_type,
        "x-overflow": "reject-publish",
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": following,
    }
    if queue_type == "quorum":
        arguments["x-dead-letter-strategy"] = "at-least-once"
    channel.call("queue.declare", 0, name, False, True, False, False, False, arguments)
