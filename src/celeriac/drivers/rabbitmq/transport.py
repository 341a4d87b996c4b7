"""A connected socket that never blocks by itself: bytes in and out, with a deadline where one waits."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Final

from celeriac.drivers.rabbitmq.errors import LinkLost, NoAnswer

__all__ = ["Transport"]

_CHUNK: Final = 65_536
"""Bytes that are read at once. What is larger is made ready by the system page by page for each read, which takes as
long as the rest of the engine's way to the task (glibc, from 128 KiB on)."""


class Transport:
    """One side reads while another writes: each by one thread at a time. `wake` may be called from anywhere.

    Raises `LinkLost` when the other side is gone.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self.may_be_shared = True
        """Whether another process that has the socket can write to it."""
        self._owner = os.getpid()
        # As files, not as numbers: who closed a number twice would close what another has opened under it since.
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken, self._waker = os.fdopen(woken, "rb", 0), os.fdopen(waker, "wb", 0)
        self._wakes = woken
        self._incoming = select.poll()
        self._incoming.register(connected, select.POLLIN)
        self._incoming.register(woken, select.POLLIN)

    def read(self, wait: float, beside: Transport | None = None) -> bytes:
        """Return what has come, after up to `wait` seconds; empty when nothing did, or when it was woken.

        Also empty, and at once, when something has come to the transport `beside` it.
        """
        # Nearly always it is still to come: to ask the kernel for it first would cost an exception.
        if wait > 0 and not self._has_come(self._poll(wait * 1000, beside)):
            return b""
        data = self._received()
        if data is None:
            return b""
        if not data:
            raise LinkLost("the server closed the connection")
        return data

    def write(self, data: bytes, deadline: float) -> None:
        """Hand all of it to the kernel. Raises `NoAnswer` when that takes until `deadline`, by `time.monotonic`."""
        view = memoryview(data)
        while True:
            sent = self._sent(view)
            if sent == len(view):
                return
            view = view[sent:]
            left = deadline - time.monotonic()
            if left <= 0 or not self._may_write(left):
                raise NoAnswer("the server takes no more bytes")

    def wake(self) -> None:
        """Make a `read` that waits return. Safe in a signal handler."""
        try:
            self._waker.write(b"!")  # it may be full of wake-ups already
        except (OSError, ValueError):
            pass  # it is closed

    def __del__(self) -> None:
        for each in (self.socket, self._woken, self._waker):  # of a store that was dropped without being closed
            each.close()

    def close(self) -> None:
        """Close it. A child of a fork closes what it inherited without ending it for the parent. Idempotent."""
        if self._owner == os.getpid():
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first
        for each in (self.socket, self._woken, self._waker):
            each.close()

    def _poll(self, milliseconds: float, beside: Transport | None) -> list[tuple[int, int]]:
        if beside is None:
            return self._incoming.poll(milliseconds)
        other = beside.socket.fileno()
        if other < 0:  # it was closed now
            return []
        self._incoming.register(other, select.POLLIN)
        try:
            return [event for event in self._incoming.poll(milliseconds) if event[0] != other]
        finally:
            self._incoming.unregister(other)

    def _received(self) -> bytes | None:
        """Return what has come; None when nothing has, empty at the end of the connection."""
        try:
            return self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkLost(said(error)) from error

    def _sent(self, view: memoryview) -> int:
        try:
            return self.socket.send(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkLost(said(error)) from error

    def _may_write(self, wait: float) -> bool:
        outgoing = select.poll()
        outgoing.register(self.socket, select.POLLOUT)
        return bool(outgoing.poll(wait * 1000))

    def _has_come(self, events: list[tuple[int, int]]) -> bool:
        """Tell whether there is something to read; a wake-up is over with that."""
        has_come = False
        for descriptor, _ in events:
            if descriptor == self._wakes:
                try:
                    self._woken.read(4096)
                except (OSError, ValueError):
                    pass  # it is closed
            else:
                has_come = True
        return has_come


def said(error: OSError) -> str:
    """Return the text of a system's error."""
    return error.strerror or str(error) or type(error).__name__
