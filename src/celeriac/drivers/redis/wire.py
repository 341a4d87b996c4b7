"""One connection to a Redis server: packed commands out, answers in.

A plain socket with hiredis on both ends of it. redis-py's connection does the same for twice the processor time a round
trip and 21 MiB more in every process (docs/adr/0006-own-connection.md).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import hiredis

from celeriac.drivers.redis.errors import Asker, ConnectionLost, NoAnswer, Refusal, WireError
from celeriac.drivers.redis.packing import Command, pack
from celeriac.drivers.redis.waits import readable

__all__ = ["Push", "Reply", "Wire"]

Reply: TypeAlias = Any
"""What the server answers to a command: bytes, int, None, lists of these, or a `Refusal`."""

Push: Final[type[list[Any]]] = hiredis.PushNotification
"""What the server sends unasked over RESP3: a list."""

_CHUNK: Final = 65536  # bytes that are read at once
_NOT_YET: Final = object()


class Wire:
    """An open connection. Used by one thread at a time.

    Raises `ConnectionLost`, or `NoAnswer` when the server takes longer than `timeout` seconds to take or give a byte
    (None: for ever); after either it is of no use any more.
    """

    hears_answers_only = True
    """A socket that can be read holds an answer, or the beginning of one, where nothing is pushed."""

    def __init__(self, connected: socket.socket, timeout: float | None) -> None:
        self.socket = connected
        """For waiting until it is readable, and nothing else."""
        self.is_pushed_to = False
        """The server has pushed something (which needs RESP3) since this was last set to False."""
        self.reads_pushes = False
        """Whether `read` returns what the server pushed, too: each a `Push`, in its place among the answers."""
        self.asker = Asker()
        """How the server knows this connection, where it told."""
        self._owner = os.getpid()
        self._arrivals = select.poll()
        self._arrivals.register(connected, select.POLLIN)
        reader = hiredis.Reader(protocolError=ConnectionLost, replyError=Refusal, notEnoughData=_NOT_YET)
        self._reader = reader
        self._next: Reply = _NOT_YET
        self.limit(timeout)

    def send(self, packed: bytes) -> None:
        """Hand commands to the kernel."""
        try:
            self.socket.sendall(packed)
        except (BlockingIOError, TimeoutError) as error:
            raise NoAnswer("the server takes no more commands") from error
        except OSError as error:
            raise ConnectionLost(self._last_words() or _said(error)) from error

    def read(self) -> Reply:
        """Return the next answer; a refusal is one. See `is_pushed_to` for what is none."""
        while (reply := self._take()) is _NOT_YET:
            self._receive()
        return reply

    def read_many(self, count: int) -> list[Reply]:
        """Return the answers to so many commands that were sent just now, see `read`."""
        reader = self._reader
        reply, self._next = self._next, _NOT_YET
        if reply is _NOT_YET:
            self._receive()  # they cannot be here yet
            reply = reader.gets()
        replies: list[Reply] = []
        while True:
            # What `_take` does, in place: a process that sends or takes reads here for each trip.
            if reply is _NOT_YET:
                self._receive()
            elif type(reply) is Push and not self.reads_pushes:
                self.is_pushed_to = True
            else:
                replies.append(reply)
                if len(replies) == count:
                    return replies
            reply = reader.gets()

    def call(self, command: Command) -> Reply:
        """Send one command and return its answer. Raises a `Refusal`."""
        self.send(pack(command))
        reply = self.read()
        if isinstance(reply, Refusal):
            raise reply
        return reply

    def has_answer(self) -> bool:
        """Take in what has come, without waiting, and tell whether a whole answer is there to `read`."""
        while not self.holds_answer():
            try:
                chunk = self._received()
            except OSError as error:
                raise ConnectionLost(_said(error)) from error
            if chunk is None:
                return False
            self._take_in(chunk)
        return True

    def holds_answer(self) -> bool:
        """Tell whether a whole answer was taken in already."""
        self._next = self._take()
        return self._next is not _NOT_YET

    def taken_in(self) -> Iterator[Reply]:
        """Yield the whole answers that were taken in already."""
        while (reply := self._take()) is not _NOT_YET:
            yield reply

    def wait(self, seconds: float) -> None:
        """Wait for a whole answer, less long than the connection's own timeout. Raises `NoAnswer`."""
        until = time.monotonic() + seconds
        while not self.has_answer():
            if not readable([self.socket], until - time.monotonic()):
                raise NoAnswer(f"the server did not answer within {seconds:.1f} s")

    def is_quiet(self) -> bool:
        """Tell whether it is open, and nothing has come since the last answer was read. For where nothing is pushed."""
        return not self._arrivals.poll(0)

    def limit(self, timeout: float | None) -> None:
        """Change the timeout. The kernel keeps it: with `settimeout` Python asks poll(2) before every other call."""
        self.socket.settimeout(None)
        seconds, rest = divmod(timeout or 0.0, 1)
        span = struct.pack("@ll", int(seconds), max(int(rest * 1e6), 0 if seconds or timeout is None else 1))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)

    def close(self) -> None:
        """Close it. A child of a fork closes what it inherited without ending it for the parent."""
        if self._owner == os.getpid():
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first
        self.socket.close()

    def __del__(self) -> None:
        self.socket.close()  # of a store that was dropped without being closed

    def _take(self) -> Reply:
        """Return the next whole answer that has come, if there is one."""
        reply, self._next = self._next, _NOT_YET
        if reply is _NOT_YET:
            reply = self._reader.gets()
            while type(reply) is Push and not self.reads_pushes:
                self.is_pushed_to = True
                reply = self._reader.gets()
        return reply

    def _receive(self) -> None:
        """Wait for the server to say more."""
        try:
            chunk = self.socket.recv(_CHUNK)
        except (BlockingIOError, TimeoutError) as error:
            raise NoAnswer("the server did not answer") from error
        except OSError as error:
            raise ConnectionLost(_said(error)) from error
        self._take_in(chunk)

    def _take_in(self, chunk: bytes) -> None:
        if not chunk:
            raise ConnectionLost("the server closed the connection")
        self._reader.feed(chunk)

    def _last_words(self) -> str:
        """Return what the server said before it hung up amid a command, such as that this is too large."""
        try:
            while (reply := self._take()) is _NOT_YET:
                if not (chunk := self._received()):
                    return ""
                self._take_in(chunk)
        except (OSError, WireError):
            return ""
        return str(reply) if isinstance(reply, Refusal) else ""

    def _received(self) -> bytes | None:
        """Return what has come; empty at the end of the connection, None when nothing has."""
        try:
            return self.socket.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None


def _said(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
