"""Waiting for several sockets at once, and ending another thread's wait."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

__all__ = ["Doors", "Wake", "readable"]

_poll = getattr(select, "poll", None)  # not on Windows


class Wake:
    """A pair of sockets, so that one thread, or a signal handler, can end another's wait. Takes no lock."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)
        self._is_called = False

    def call(self) -> None:
        self._is_called = True  # first: whoever forgets calls goes by it
        try:
            self._sender.send(b"\0")
        except BlockingIOError:
            pass  # full of calls that nobody heard yet, which is as good as one more

    def forget(self) -> None:
        """Forget the calls so far; without any, which is nearly always, that takes no system call."""
        if self._is_called:
            self.hear()

    def hear(self) -> None:
        """Take the calls so far, of which there are some."""
        self._is_called = False  # first: what is called meanwhile is heard next time
        try:
            while self.receiver.recv(4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        self.receiver.close()
        self._sender.close()

    def __del__(self) -> None:
        # A thread may still wait on them when its broker is closed, so they end with their last user.
        self.close()


class Doors:
    """Sockets that are waited for again and again, by one thread at a time, and that stay open meanwhile."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = {one.fileno(): one for one in sockets}
        self._poller = None if _poll is None else _poll()
        if self._poller is not None:
            for number in self._sockets:
                self._poller.register(number, select.POLLIN)

    def open(self, wait: float) -> list[socket.socket]:
        """Return those that can be read within `wait` seconds, 0 or more."""
        if self._poller is None:
            return select.select(self._sockets.values(), [], [], wait)[0]
        found = []
        for number, _ in self._poller.poll(wait * 1000):
            found.append(self._sockets[number])
        return found


def readable(sockets: Sequence[socket.socket | None], wait: float) -> list[socket.socket]:
    """Return those that can be read within `wait` seconds."""
    present = [one for one in sockets if one is not None]
    wait = max(0.0, wait)
    if _poll is None:
        return select.select(present, [], [], wait)[0]
    poller = _poll()
    by_number = {}
    for one in present:
        number = one.fileno()
        by_number[number] = one
        poller.register(number, select.POLLIN)
    found = []
    for number, _ in poller.poll(wait * 1000):
        found.append(by_number[number])
    return found
