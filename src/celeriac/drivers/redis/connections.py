"""Connections to one Redis server: how they are made, kept between uses, and left behind by a fork."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from celeriac.clock import SYSTEM_CLOCK
from celeriac.drivers.redis.address import Address
from celeriac.drivers.redis.connecting import Connector
from celeriac.drivers.redis.errors import WireError
from celeriac.drivers.redis.wire import Wire
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.store import StoreOptions

__all__ = ["Pool"]

log = logging.getLogger(__name__)

_KEPT: Final = 10  # idle connections; kombu's own number
_FRESH: Final = 0.001  # seconds; a connection used this recently is not looked at before its next use
_CLOCKS_AGREE: Final = 1.0  # seconds


class Pool:
    """Connections that wait for their next use, the most recently used first. Thread-safe; the lock is held for no I/O.

    `clock_offset` is what to add to the local clock to read the server's: 0 while they agree within a second.
    `generation` counts how often a connection was found dead, or its server deposed: one that was opened before the
    last time is not trusted.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.address = address
        self.clock_offset = 0.0
        self.generation = 0
        self._connector = Connector(address, options)
        self._kept = int(options.transport_options.get("max_connections") or _KEPT)
        self._calibrated = options.clock is not SYSTEM_CLOCK
        self._idle: list[tuple[Wire, float]] = []
        self._idle_lock = threading.Lock()
        after_fork_in_child(self)

    def take(self) -> Wire:
        """Return a connection that is open as far as can be told without a round trip."""
        while True:
            with self._idle_lock:
                if not self._idle:
                    break
                wire, used_at = self._idle.pop()
            if time.monotonic() - used_at < _FRESH or _is_quiet(wire):
                return wire
            wire.close()
        return self.open()

    def give(self, wire: Wire) -> None:
        """Keep a connection, all of whose answers were read, for its next use."""
        with self._idle_lock:
            if len(self._idle) < self._kept:
                self._idle.append((wire, time.monotonic()))
                return
        wire.close()

    def open(self, *, resp3: bool = False) -> Wire:
        """Make a new connection. With `resp3` the server may push what nobody asked for (see `Wire.is_pushed_to`).

        Raises `ConnectionLost`, or the `Refusal` of a server that does not let us in.
        """
        wire = self._connector.open(resp3=resp3)
        try:
            if not self._calibrated:
                self._calibrate(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    def close(self) -> None:
        """Close all idle connections. Later calls open new ones."""
        with self._idle_lock:
            idle, self._idle = self._idle, []
        for wire, _ in idle:
            wire.close()

    def doubt(self) -> None:
        """Take note that a connection gave no answer in time: the others died with it, as far as anybody knows.

        What broke one without a word (a router that lost its state, a frozen proxy) broke all, and each would cost its
        next user the whole wait for an answer. The same is called when one leads to a server that was deposed.
        """
        self.generation += 1
        self.close()

    def forget_parent(self) -> None:
        """Begin anew after a fork: inherited sockets are closed, and go on for the parent."""
        self._idle_lock = threading.Lock()
        self.close()

    def _calibrate(self, wire: Wire) -> None:
        """Compare the clocks once: leases and delays of several machines must run on one clock, the server's."""
        before = time.time()
        seconds, micros = wire.call(("TIME",))
        offset = int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
        self._calibrated = True
        if abs(offset) > _CLOCKS_AGREE:
            self.clock_offset = offset
            log.warning(
                "The clock of Redis at %s is %+.1f s from this machine's; leases and delays follow the server's.",
                self.address.location,
                offset,
            )


def _is_quiet(wire: Wire) -> bool:
    """Tell whether an idle connection is open and has nothing to read, which would be an answer to nobody."""
    try:
        return not wire.has_answer()
    except WireError:
        return False
