"""A connection to RabbitMQ: frames in and out, shared by any number of threads, each with channels of its own.

No thread belongs to it. Whoever waits for something reads for all while nobody else does, and hands the reading on
when its own has come: a lone caller pays for no change of threads, and many callers for one at a time.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from celeriac.drivers.rabbitmq.address import Node
from celeriac.drivers.rabbitmq.errors import LinkLost, NoAnswer, WireError
from celeriac.drivers.rabbitmq.methods import HEARTBEAT, HEARTBEAT_FRAME, METHOD, Method, method_frame, read_method
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.drivers.rabbitmq.transport import Transport

__all__ = ["FrameSink", "Link"]

_HEAD: Final = struct.Struct(">BHI")
_HEAD_SIZE: Final = 7
_END: Final = 0xCE
_LOOK: Final = 1.0
"""Seconds of one wait; what changes without a wake-up is seen after as many."""
_MOST_FRAME: Final = 1 << 24
"""Bytes of a payload beyond which what was read is no frame."""


class FrameSink(Protocol):
    """What takes the frames of one channel. Called by the thread that reads; it does not wait."""

    def take(self, kind: int, payload: bytes) -> None: ...

    def fail(self, error: WireError) -> None: ...


class Link:
    """An open connection, whose login is done. Thread-safe.

    Raises `LinkLost` when it is lost, for ever after, and `NoAnswer` when the server takes longer than `timeout`
    seconds to take what is written or to give what was waited for.
    """

    def __init__(self, transport: Transport, *, timeout: float, node: Node) -> None:
        self.transport = transport
        self.node = node
        self.timeout = timeout
        self.frame_max = 131_072
        self.channel_max = 2047
        self.heartbeat = 0.0
        """Seconds by which each side proves that it is alive; 0 for never."""
        self.salt = os.urandom(5).hex()
        """Tells this connection from all others."""
        self.blocked: str | None = None
        """Why the server takes no messages now; None while it does."""
        self.failure: WireError | None = None
        self.wrote_at = self.read_at = self._beat_at = time.monotonic()
        # Entered as it is: a condition's methods are Python's, and at most reads nobody else waits.
        self._guard = threading.RLock()
        self._changed = threading.Condition(self._guard)
        self._waiting = 0
        self._is_read = False
        self._guard_writing = threading.Lock()
        self._guard_numbers = threading.Lock()
        self._sinks: dict[int, FrameSink] = {0: _ConnectionSink(self)}
        self._free: list[int] = []
        self._buffer = bytearray()
        self.answers: list[Method] = []
        """Of the connection itself, during login and at its end."""

    @property
    def is_open(self) -> bool:
        return self.failure is None

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and nobody reads it."""
        return self.failure is None and not self._is_read

    def add(self, sink: FrameSink) -> int:
        """Give a sink a channel number."""
        with self._guard_numbers:
            number = self._free.pop() if self._free else len(self._sinks)
            if number > self.channel_max:
                raise LinkLost(f"all {self.channel_max} channels of the connection are in use")
            self._sinks[number] = sink
            return number

    def remove(self, number: int) -> None:
        """Take a number back whose channel is closed on both sides."""
        with self._guard_numbers:
            if self._sinks.pop(number, None) is not None:
                self._free.append(number)

    def send(self, data: bytes) -> None:
        """Write whole frames."""
        if self.failure is not None:
            raise self._lost()
        deadline = time.monotonic() + self.timeout
        if not self._guard_writing.acquire(timeout=self.timeout):
            raise NoAnswer("another thread's message takes too long")
        try:
            self.transport.write(data, deadline)
            self.wrote_at = time.monotonic()
        except WireError as error:
            self.fail(error)
            raise
        finally:
            self._guard_writing.release()

    def wait(self, ready: Callable[[], Any], until: float, *, beside: Link | None = None) -> bool:
        """Take in what comes until `ready` says so; False when it does not by `until` (`time.monotonic`).

        What comes to the connection `beside` is taken in too, if this thread reads and nobody reads there. Raises when
        the connection is lost, but not for the one beside it.
        """
        while True:
            with self._guard:
                if ready():
                    return True
                if self.failure is not None:
                    raise self._lost()
                left = until - time.monotonic()
                if left <= 0 and self._is_read:
                    return False
                if self._is_read:
                    self._wait_for_change(min(left, _LOOK))
                    continue
                self._is_read = True
            other = beside if beside is not None and beside.is_idle else None
            try:
                self._read_some(min(left, _LOOK), other)
            finally:
                self._let_others_read()
            if other is not None:
                other.look()
            if left <= 0:
                return bool(ready())

    def look(self) -> None:
        """Take in what has come, without waiting, unless somebody is at it."""
        with self._guard:
            if self._is_read or self.failure is not None:
                return
            self._is_read = True
        try:
            self._read_some(0.0)
        finally:
            self._let_others_read()

    def wake(self) -> None:
        """Have everybody who waits look whether it is ready. Safe in a signal handler."""
        self.transport.wake()

    def beat(self) -> None:
        """Say that we are alive, if nothing was said for a while; raise when the server has not been for too long."""
        if not self.heartbeat:
            return
        now = time.monotonic()
        # Who stood still, as where a task holds the interpreter's lock, has to read first what came meanwhile.
        is_late = now - self._beat_at > self.heartbeat
        self._beat_at = now
        if now - self.read_at > 2 * self.heartbeat and not is_late:
            error = NoAnswer(f"nothing was heard of the server for {now - self.read_at:.0f} s")
            self.fail(error)
            raise error
        if now - self.wrote_at >= self.heartbeat / 2:
            self.send(HEARTBEAT_FRAME)

    def fail(self, error: WireError) -> None:
        """Take note that the connection is of no use any more; whoever waits is told."""
        with self._guard:
            if self.failure is not None:
                return
            self.failure = error
        for sink in list(self._sinks.values()):
            sink.fail(error)
        self.transport.wake()
        with self._guard:
            self._changed.notify_all()

    def close(self) -> None:
        """Say good-bye, and close. Raises nothing."""
        if self.failure is None:
            try:
                self.send(method_frame(0, "connection.close", 200, "", 0, 0))
                self.wait(lambda: any(each.name == "connection.close-ok" for each in self.answers), _soon())
            except WireError:
                pass
        self.drop(LinkLost("the connection was closed"))

    def drop(self, error: WireError) -> None:
        """Close without a word; the socket not before who reads it has let go."""
        self.fail(error)
        until = time.monotonic() + _LOOK
        with self._guard:
            while self._is_read and (left := until - time.monotonic()) > 0:
                self._wait_for_change(left)
        self.transport.close()

    def _lost(self) -> WireError:
        error = self.failure or LinkLost("the connection was closed")
        return type(error)(*error.args) if isinstance(error, LinkLost) else LinkLost(str(error))

    def _wait_for_change(self, seconds: float) -> None:
        """Called with the lock held."""
        self._waiting += 1
        try:
            self._changed.wait(seconds)
        finally:
            self._waiting -= 1

    def _let_others_read(self) -> None:
        with self._guard:
            self._is_read = False
            if self._waiting:
                self._changed.notify_all()

    # -- reading; one thread at a time ------------------------------------------------------------------------------

    def _read_some(self, wait: float, beside: Link | None = None) -> None:
        try:
            data = self.transport.read(wait, None if beside is None else beside.transport)
            if data:
                self.read_at = time.monotonic()
                self._buffer += data
                self._take_frames()
        except WireError as error:
            self.fail(error)
        except TableError as error:
            self.fail(LinkLost(f"the server sent what is no AMQP: {error}"))

    def _take_frames(self) -> None:
        data = bytes(self._buffer)
        at, size = 0, len(data)
        while size - at >= _HEAD_SIZE:
            kind, channel, length = _HEAD.unpack_from(data, at)
            end = at + _HEAD_SIZE + length
            if length > _MOST_FRAME or data[at : at + 4] == b"AMQP":
                raise LinkLost("the server speaks another protocol than AMQP 0-9-1")
            if end >= size:
                break
            if data[end] != _END:
                raise LinkLost("the server sent a frame without an end")
            if kind != HEARTBEAT:
                sink = self._sinks.get(channel)
                if sink is not None:
                    sink.take(kind, data[at + _HEAD_SIZE : end])
            at = end + 1
        del self._buffer[:at]


class _ConnectionSink:
    """Takes what is about the connection itself."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def take(self, kind: int, payload: bytes) -> None:
        if kind != METHOD:
            return
        method = read_method(payload)
        if method.name == "connection.blocked":
            self._link.blocked = method.arguments[0] or "no reason"
        elif method.name == "connection.unblocked":
            self._link.blocked = None
        elif method.name == "connection.close":
            code, text = method.arguments[:2]
            try:
                self._link.send(method_frame(0, "connection.close-ok"))
            except WireError:
                pass  # it has gone without waiting for that
            self._link.fail(LinkLost(f"the server closed the connection: {text} ({code})"))
        else:
            self._link.answers.append(method)

    def fail(self, error: WireError) -> None:
        """There is nobody else to tell."""


def _soon() -> float:
    return time.monotonic() + 1.0
