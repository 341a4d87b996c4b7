"""Connections to one Redis server: how they are made, kept between uses, and left behind by a fork."""

from __future__ import annotations

import logging
import time
from typing import Final

from celeriac.clock import SystemClock
from celeriac.drivers.redis.address import Address
from celeriac.drivers.redis.connecting import Connector
from celeriac.drivers.redis.wire import Wire
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.store import StoreOptions

__all__ = ["Pool"]

log = logging.getLogger(__name__)

_KEPT: Final = 10  # idle connections; kombu's own number
_FRESH: Final = 0.001  # seconds; a connection used this recently is not looked at before its next use
_CLOCKS_AGREE: Final = 1.0  # seconds


class Pool:
    """Connections that wait for their next use, the most recently used first.

    Thread-safe, without a lock: each step of a list is whole.

    `generation` counts how often a connection was found dead, or its server deposed: one that was opened before the
    last time is not trusted.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.address = address
        self.generation = 0
        self._connector = Connector(address, options)
        self._kept = int(options.transport_options.get("max_connections") or _KEPT)
        self._clock = options.clock
        self.knows_clock = not isinstance(options.clock, SystemClock)
        """Whether the clocks were compared, since the local one was set: `clock_offset` is a guess until then."""
        self._offset = 0.0  # as it was measured
        self._started: float | None = None  # the local clock less the time since the boot, when that was measured
        self._idle: list[tuple[Wire, float]] = []
        after_fork_in_child(self)

    @property
    def clock_offset(self) -> float:
        """What to add to the local clock to read the server's: 0 while they agree within a second.

        Where the local clock was set since it was compared with the server's, that is taken into account at once, and
        the next connection that is taken compares them again.
        """
        offset = self._offset
        if self._started is not None:
            step = self._clock.now() - self._clock.boottime() - self._started
            if abs(step) > _CLOCKS_AGREE:
                self.knows_clock = False
                offset -= step
        return offset if abs(offset) > _CLOCKS_AGREE else 0.0

    def take(self) -> Wire:
        """Return a connection that is open as far as can be told without a round trip."""
        while True:
            try:
                wire, used_at = self._idle.pop()
            except IndexError:
                return self.open()
            if time.monotonic() - used_at < _FRESH or wire.is_quiet():
                return wire if self.knows_clock else self._compared_by(wire)
            wire.close()

    def give(self, wire: Wire) -> None:
        """Keep a connection, all of whose answers were read, for its next use."""
        if len(self._idle) < self._kept:
            self._idle.append((wire, time.monotonic()))
        else:
            wire.close()

    def open(self, *, resp3: bool = False) -> Wire:
        """Make a new connection. With `resp3` the server may push what nobody asked for (see `Wire.is_pushed_to`).

        Raises `ConnectionLost`, or the `Refusal` of a server that does not let us in.
        """
        return self._compared_by(self._connector.open(resp3=resp3))

    def close(self) -> None:
        """Close all idle connections. Later calls open new ones."""
        try:
            while self._idle:
                self._idle.pop()[0].close()
        except IndexError:  # another thread took the last
            pass

    def doubt(self) -> None:
        """Take note that a connection gave no answer in time: the others died with it, as far as anybody knows.

        What broke one without a word (a router that lost its state, a frozen proxy) broke all, and each would cost its
        next user the whole wait for an answer. The same is called when one leads to a server that was deposed.
        """
        self.generation += 1
        self.close()

    def forget_parent(self) -> None:
        """Begin anew after a fork: inherited sockets are closed, and go on for the parent."""
        self.close()

    def _compared_by(self, wire: Wire) -> Wire:
        """Compare the clocks over this connection if that must be done, and return it."""
        try:
            if not self.knows_clock:
                self._calibrate(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    def _calibrate(self, wire: Wire) -> None:
        """Compare the clocks: leases and delays of several machines must run on one clock, the server's.

        Done once, and again when the local clock was set: a node would otherwise take back what others hold, or let
        its own leases end.
        """
        before = self._clock.now()
        seconds, micros = wire.call(("TIME",))
        now = self._clock.now()
        self._offset = int(seconds) + int(micros) / 1e6 - (before + now) / 2
        self._started = now - self._clock.boottime()
        self.knows_clock = True
        if abs(self._offset) > _CLOCKS_AGREE:
            log.warning(
                "The clock of Redis at %s is %+.1f s from this machine's; leases and delays follow the server's.",
                self.address.location,
                self._offset,
            )
