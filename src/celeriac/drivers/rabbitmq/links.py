"""The connections of one process to RabbitMQ: one that sends, one that receives, and channels of each between uses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from celeriac.drivers.rabbitmq.channel import Channel
from celeriac.drivers.rabbitmq.connecting import Connector
from celeriac.drivers.rabbitmq.errors import LinkLost, NoAnswer, WireError
from celeriac.drivers.rabbitmq.link import Link
from celeriac.forks import after_fork_in_child

__all__ = ["Links"]

log = logging.getLogger(__name__)

_KEPT: Final = 16
"""Idle channels."""
_FRESH: Final = 1.0
"""Seconds: a connection that was heard of this recently is not looked at before its next use."""


class Links:
    """One connection, opened at first use and again when it was lost. Thread-safe.

    A server that is short of memory stops reading from connections that publish: so what sends and what receives have
    one each.
    """

    def __init__(self, connector: Connector, *, purpose: str) -> None:
        self.connector = connector
        self.on_pulse: Callable[[], None] | None = None
        """Called every few seconds while the connection lives, by the thread that keeps it alive."""
        self.on_open: Callable[[Link], None] | None = None
        """Called with each new connection, before it is used."""
        self.longest_pause = 5.0
        """Seconds between two pulses at most."""
        self._purpose = purpose
        self._begin()
        after_fork_in_child(self)

    def _begin(self) -> None:
        self._guard_opening = threading.Lock()
        self._guard_idle = threading.Lock()
        self._link: Link | None = None
        self._idle: list[Channel] = []
        self._confirming: list[Channel] = []
        self._pulse: Pulse | None = None

    def forget_parent(self) -> None:
        """Begin anew after a fork: inherited sockets are closed, and go on for the parent."""
        link = self._link
        self._begin()
        if link is not None:
            link.transport.close()

    @property
    def current(self) -> Link | None:
        """The connection, if there is one that lives as far as is known."""
        link = self._link
        return link if link is not None and link.is_open else None

    def link(self) -> Link:
        """Return the connection, made now if need be. Raises `LinkLost` kin."""
        link = self._link
        if link is not None and link.failure is None:
            if time.monotonic() - link.read_at > _FRESH:
                link.look()
            if self.connector.doubts(link):
                link.drop(LinkLost("another connection was not answered, and nothing was heard of this one since"))
            if link.failure is None:
                return link
        with self._guard_opening:
            if self._link is not None and self._link.is_open:
                return self._link
            if self._link is not None:
                if isinstance(self._link.failure, NoAnswer):
                    self.connector.leave(self._link)
                self._link.drop(LinkLost("the connection was lost"))
            link = self.connector.open(purpose=self._purpose)
            if self.on_open is not None:
                self.on_open(link)
            self._link = link
            with self._guard_idle:
                self._idle.clear()
                self._confirming.clear()
            if self._pulse is not None:
                self._pulse.stop()
            self._pulse = Pulse(link, name=self._purpose, longest_pause=self.longest_pause, on_pulse=self.on_pulse)
            return link

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """Lend a channel for calls."""
        link = self.link()
        channel = self._taken(self._idle, link) or Channel(link)
        try:
            yield channel
        except BaseException:
            channel.abandon()
            raise
        self._put_back(self._idle, channel)

    def borrow_confirming(self, link: Link) -> Channel:
        """Return a channel on which the server confirms what it was sent; `return_confirming` it, or abandon it."""
        channel = self._taken(self._confirming, link)
        if channel is None:
            channel = Channel(link)
            channel.call("confirm.select", False)
        return channel

    def return_confirming(self, channel: Channel) -> None:
        self._put_back(self._confirming, channel)

    def close(self) -> None:
        """Close the connection. Later calls open another. Idempotent."""
        with self._guard_opening:
            link, self._link = self._link, None
            pulse, self._pulse = self._pulse, None
        with self._guard_idle:
            self._idle.clear()
            self._confirming.clear()
        if pulse is not None:
            pulse.stop()
        if link is not None:
            link.close()

    def _taken(self, idle: list[Channel], link: Link) -> Channel | None:
        with self._guard_idle:
            while idle:
                channel = idle.pop()
                if channel.failure is None and channel.link is link:
                    return channel
        return None

    def _put_back(self, idle: list[Channel], channel: Channel) -> None:
        if channel.is_open and channel.link is self._link:
            with self._guard_idle:
                if len(idle) < _KEPT:
                    idle.append(channel)
                    return
        channel.close()


class Pulse:
    """A thread that keeps one connection alive, and takes in what comes while nobody waits for anything."""

    def __init__(self, link: Link, *, name: str, longest_pause: float, on_pulse: Callable[[], None] | None) -> None:
        self._link = link
        self._on_pulse = on_pulse
        self._stopped = threading.Event()
        span = link.heartbeat or 60.0
        self._pause = max(0.2, min(span / 4, longest_pause))
        self._thread = threading.Thread(target=self._run, name=f"celeriac-amqp-{name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause) and self._link.is_open:
            try:
                self._link.look()
                self._link.beat()
                if self._on_pulse is not None:
                    self._on_pulse()
            except WireError as error:
                log.debug("A connection to RabbitMQ ended: %s", error)
        if not self._stopped.is_set():
            self._link.drop(LinkLost("the connection was lost"))
