"""Holding a message on a queue of our own, so that it can be held for as long as one likes, and be marked.

RabbitMQ closes the channel of a delivery that is not acknowledged for longer than ``consumer_timeout``, 30 minutes by
default, and a message cannot be changed while it is held. So what is held for long, and what is about to run although
a holder may have died of it, moves: a copy goes to a queue that this process alone consumes, is held there, and only
then is the first one acknowledged. When this process dies, the copy becomes ready there, and since its time to live is
over, the server puts it back into the queue that it is from.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from celeriac.drivers.rabbitmq.channel import Arrival, Channel
from celeriac.drivers.rabbitmq.custody import Ward
from celeriac.drivers.rabbitmq.errors import WireError
from celeriac.drivers.rabbitmq.held import Holdings
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import CRASHES, TOKEN, copied, token_of
from celeriac.drivers.rabbitmq.publishing import Post, publish

__all__ = ["Parking"]

EXCHANGE: Final = "celeriac.held"
_SHORTLY: Final = 1000
"""Milliseconds that a message is ready there before the server puts it back."""
_UNUSED: Final = 3_600_000
"""Milliseconds after which the queue of a process that is gone is removed; what was in it has long been put back."""
_LIMIT: Final = 2**31 - 1


class Parking:
    """The queue of this process, made when it is first needed. Thread-safe. Raises `WireError` kin."""

    def __init__(self, sending: Links, taking: Links, holdings: Holdings, ward: Ward) -> None:
        self._ward = ward
        self._sending = sending
        self._taking = taking
        self._holdings = holdings
        self._guard_lot = threading.Lock()
        self._lot: _Lot | None = None

    def hold_anew(self, tags: Sequence[str], *, is_crash: bool) -> bool:
        """Move what these leases stand for; with `is_crash` note in each that its holder's death is one crash more.

        False when one of them was lost or settled meanwhile.
        """
        with self._guard_lot:  # one move at a time: they are rare, and share a channel
            self._drop_strays()
            moved = [self._move(tag, is_crash=is_crash) for tag in tags]
            return all(moved)

    def _drop_strays(self) -> None:
        """Let go of copies that came when nobody waited for them any more."""
        lot = self._lot
        while lot is not None and lot.channel.is_open and lot.channel.arrivals:
            self._drop(lot, lot.channel.arrivals.popleft())

    def _drop(self, lot: _Lot, arrival: Arrival) -> None:
        """End a copy that is not wanted: what it is of was settled, or is held still, or went back with its channel."""
        self._holdings.ack_raw(lot.channel, arrival.tag, arrival.consumer)

    def _move(self, tag: str, *, is_crash: bool) -> bool:
        held = self._holdings.held(tag)
        if held is None:
            return False
        lot = self._open_lot()
        token = uuid.uuid4().hex
        crashes = _next(held.crashes) if is_crash else held.crashes
        extra: dict[str, Any] = {TOKEN: token}
        if crashes:
            extra[CRASHES] = crashes
        post = Post(EXCHANGE + "." + lot.name, held.queue, copied(held.arrival.header, extra=extra), held.arrival.body)
        refused = publish(self._sending, [post])
        if refused.unroutable or refused.unwanted:
            raise WireError("the queue for messages that are held for long was deleted")
        arrival = lot.next_arrival()
        while token_of(arrival.header) != token:  # of a move that failed: its answer was late
            self._drop(lot, arrival)
            arrival = lot.next_arrival()
        old = self._holdings.move(
            tag, lot.channel, arrival, crashes=crashes, returns_as=held.returns_as, since=time.monotonic()
        )
        if old is None:  # it was settled while it moved
            self._drop(lot, arrival)
            return False
        self._ward.moved(tag, lot.channel.number, arrival.tag)
        self._holdings.ack_raw(old.channel, old.number, old.arrival.consumer)
        return True

    def _open_lot(self) -> _Lot:
        lot = self._lot
        if lot is None or not lot.channel.serves:
            lot = self._lot = _Lot(Channel(self._taking.link()))
        return lot


class _Lot:
    """The queue and its only consumer."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.name = uuid.uuid4().hex
        queue = exchange = f"{EXCHANGE}.{self.name}"
        # A fanout keeps the routing key, and the default exchange takes it for the name of the queue to return to.
        channel.call("exchange.declare", 0, exchange, "fanout", False, True, True, False, False, {})
        arguments = {
            "x-queue-type": "quorum",
            "x-message-ttl": _SHORTLY,
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": _LIMIT,
            "x-expires": _UNUSED,
        }
        channel.call("queue.declare", 0, queue, False, True, False, False, False, arguments)
        channel.call("queue.bind", 0, queue, exchange, "", False, {})
        channel.call("basic.consume", 0, queue, "lot", False, False, False, False, {})

    def next_arrival(self) -> Arrival:
        self.channel.wait(lambda: bool(self.channel.arrivals), "a message that was moved")
        return self.channel.arrivals.popleft()


def _next(crashes: int) -> int:
    """Return the count for another run: the first doubtful one stands for itself and the one before it."""
    return crashes + 1 if crashes else 2
