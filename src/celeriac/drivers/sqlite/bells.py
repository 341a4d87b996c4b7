"""A bell for every process that waits on a file, rung by every process that commits something worth waking for.

A bell is a Unix datagram socket in the directory ``FILE-bells``. Nothing depends on it: who has no bell (Windows, a
path too long for a socket, a file system without sockets), or does not hear it, looks at the file now and then. A
killed process leaves its bell behind; the next who rings it finds nobody there and removes it.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

SETTLED: Final = 0.1
"""Seconds after its last change from which a directory's time stamp is trusted; it may move in steps of 10 ms."""


def directory_of(file: str) -> str:
    """Return where the bells of a database are."""
    return f"{file}-bells"


class Bell:
    """What one process hears. Used by one thread; `close` may be called from another that waits for the first."""

    def __init__(self, file: str) -> None:
        """Hang up the bell. Raises OSError where that cannot be."""
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("there are no Unix sockets here")
        directory = Path(directory_of(file))
        directory.mkdir(exist_ok=True)
        self._path = directory / f"{os.getpid():x}-{uuid.uuid4().hex[:8]}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(self._path))
        except BaseException:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def wait(self, timeout: float) -> bool:
        """Return True as soon as somebody rings, False after `timeout` seconds."""
        if not self._poll.poll(timeout * 1000):
            return False
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
        return True

    def close(self) -> None:
        """Take the bell down."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def leave_to_parent(self) -> None:
        """In a child process: let go of the copy, and leave the bell where it is."""
        self._socket.close()


class Ringer:
    """Rings the bells of one database. Thread-safe; `ringing` guards the socket, whose sends never block."""

    def __init__(self, file: str) -> None:
        self._directory = directory_of(file)
        self._listed: tuple[int, tuple[str, ...]] = (-1, ())
        self._ringing = threading.Lock()
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        """Ring every bell; who does not hear is left alone."""
        if paths := self._bells():
            with self._ringing:
                for path in paths:
                    self._ring_one(path)

    def close(self) -> None:
        """Let go of the socket; the next ring makes another."""
        with self._ringing:
            ringing, self._socket = self._socket, None
        if ringing is not None:
            ringing.close()

    def start_anew(self) -> None:
        """In a child process: whoever was ringing stayed with the parent."""
        self._ringing = threading.Lock()
        self.close()

    def _bells(self) -> tuple[str, ...]:
        try:
            changed = os.stat(self._directory).st_mtime_ns  # noqa: PTH116  a third of the time of Path.stat
            last, paths = self._listed
            if last == changed:
                return paths
            paths = tuple(f"{self._directory}/{name}" for name in os.listdir(self._directory))  # noqa: PTH208
        except OSError:
            return ()
        if time.time() - changed / 1e9 >= SETTLED:
            self._listed = (changed, paths)
        return paths

    def _ring_one(self, path: str) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        try:
            self._socket.sendto(b"!", path)
        except ConnectionRefusedError:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108
        except OSError:
            return  # it was rung often enough, was just taken down, or is another user's
