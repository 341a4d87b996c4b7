"""Waiting for several sockets at once, and ending another thread's wait."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

__all__ = ["Wake", "readable"]

_poll = getattr(select, "poll", None)  # not on Windows


class Wake:
    """A pair of sockets, so that one thread, or a signal handler, can end another's wait. Takes no lock."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def call(self) -> None:
        try:
            self._sender.send(b"\0")
        except BlockingIOError:
            pass  # full of calls that nobody heard yet, which is as good as one more

    def hear(self) -> None:
        """Forget the calls so far."""
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
