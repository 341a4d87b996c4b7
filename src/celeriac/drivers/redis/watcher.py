"""Noticing messages that nobody rang for: those that stock producers push, who know no bells."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from typing import Final

from celeriac.drivers.redis.client import call_script, run_on
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import ConnectionLost, WireError
from celeriac.drivers.redis.scripts import RING
from celeriac.drivers.redis.wire import Wire

__all__ = ["Watcher"]

log = logging.getLogger(__name__)

_PAUSE: Final = 0.05  # seconds between two looks in the long run: a busy queue costs at most 20 looks a second
_AT_ONCE: Final = 20  # looks that may follow one another without a pause, so that a quiet queue's messages do not wait
_LOOK_AGAIN: Final = (
    1.0  # seconds until the next look at messages that somebody rang for, and between looks without push
)
_REASSURE: Final = 60.0  # seconds until a silent connection is used again, which finds out whether it lives
_MARK: Final = 1000  # milliseconds that a mark lasts (see ring.lua)


class Watcher:
    """Rings the bells of queues that got messages from producers who do not ring.

    It asks the server to tell of the next change of the queues' lists (CLIENT TRACKING over RESP3) and looks when told;
    where the server or a proxy refuses that, it looks once a second. Of many watchers, one rings for each push.
    `keys` are those of ring.lua. Used by one thread at a time:
    wait until `socket` is readable or `due` has come, then call `tend`.
    """

    def __init__(self, pool: Pool, keys: Sequence[str], lists: int) -> None:
        self._pool = pool
        look = call_script(RING, keys, (lists, _MARK))
        self._look = (look,)
        # One command asks to be told of the next change of every list. The reads in a script could ask for that, but on
        # Redis 7.0 each of them does for all keys of the script: with 2,000 queues that stopped the server for 15 s.
        told_of = [keys[0], *(key for place, key in enumerate(keys[1:]) if place % (lists + 2) < lists)]
        self._tracked_look = (("CLIENT", "CACHING", "YES"), ("EXISTS", *told_of), look)
        self.sees_delayed = False
        """Some messages were delayed when it last looked."""
        self._wire: Wire | None = None
        self._generation = pool.generation
        self._refused = False
        self._paid_until = 0.0  # the moment for which the looks so far would do, one to a pause
        self.due = 0.0
        """When `tend` wants to be called at the latest, by `time.monotonic`."""

    @property
    def socket(self) -> socket.socket | None:
        """What becomes readable when something changed; None when nothing will."""
        return self._wire.socket if self._wire is not None and not self._refused else None

    def tend(self) -> bool:
        """Hear what the server told, and look at the queues when it is time; tell whether it has looked.

        Never raises: a look may be missed.
        """
        if self._generation != self._pool.generation:
            self.close()
        try:
            self._hear()
            if time.monotonic() >= self.due:
                self._look_and_ring()
                return True
        except WireError as error:
            log.debug("Watching the queues of Redis at %s failed: %s", self._pool.address.location, error)
            self.close()
            self.due = time.monotonic() + _LOOK_AGAIN
        return False

    def close(self) -> None:
        """Close the connection; the next `tend` opens another."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self.due = 0.0

    def _hear(self) -> None:
        if self._wire is None or self._refused:
            return
        if self._wire.has_answer():
            raise ConnectionLost("the server answered what nobody asked")
        if self._wire.is_pushed_to:
            self.due = min(self.due, self._soon())

    def _look_and_ring(self) -> None:
        wire = self._wire = self._wire or self._open()
        now = time.monotonic()
        self._paid_until = max(now, self._paid_until) + _PAUSE
        wire.is_pushed_to = False
        waiting, delayed = run_on(wire, self._look if self._refused else self._tracked_look)
        self.sees_delayed = bool(delayed)
        wire.has_answer()  # a push that came right behind the answer has been read with it: no socket tells of it
        if wire.is_pushed_to:
            self.due = self._soon()
        else:
            self.due = now + (_LOOK_AGAIN if waiting or self._refused else _REASSURE)

    def _soon(self) -> float:
        """Return the first moment at which another look keeps to the limits."""
        return self._paid_until - _AT_ONCE * _PAUSE

    def _open(self) -> Wire:
        self._generation = self._pool.generation
        if not self._refused:
            try:
                return self._tracking()
            except WireError as error:
                plain = self._pool.open()  # when the server is away, it is this that fails
                self._refused = True
                log.info(
                    "Redis at %s does not tell of changes (%s): looking for stock producers' messages once a second.",
                    self._pool.address.location,
                    error,
                )
                return plain
        return self._pool.open()

    def _tracking(self) -> Wire:
        wire = self._pool.open(resp3=True)
        try:
            wire.call(("CLIENT", "TRACKING", "ON", "OPTIN"))
        except BaseException:
            wire.close()
            raise
        return wire
