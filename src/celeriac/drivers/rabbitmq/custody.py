"""What becomes of a dead engine's deliveries: its supervisor has its connection, too, and settles on it.

A delivery can be settled on the connection that it came on, and nowhere else; when that closes, all goes back to the
queue, also what had ended, or was ended for its time limit. So an engine hands a duplicate of its socket to its
supervisor, through a unix socket. The engine's death then closes nothing: the supervisor acknowledges, gives back, and
closes. It also says in the engine's place that the connection is alive, while a task holds the interpreter's lock.

Neither is possible through TLS, whose state is in the engine alone, nor where there are no unix sockets.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from celeriac.drivers.rabbitmq.held import place_of
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.methods import HEARTBEAT_FRAME, method_frame
from celeriac.interfaces.broker import Lease

__all__ = ["Custodian", "Ward"]

_LAST: Final = 1.0
"""Seconds after an engine's death in which its deliveries are settled; what is left then goes back."""
_MOST_NOTES: Final = 1 << 20
_FULL: Final = 0.5
"""Seconds that the kernel may take to make room for a few bytes."""


class _Hello(Struct, frozen=True):
    """The first line that comes with a socket. `salt` is what the tags of its deliveries begin with."""

    salt: str
    heartbeat: float


class _Moved(Struct, frozen=True):
    """A later line: what a lease stands for is held in another place now."""

    tag: str
    channel: int
    number: int


class Ward:
    """The engine's end: hands over each connection, and tells what moves. Nothing here raises; it is done where it can.

    Thread-safe as its connection is: called by one thread at a time.
    """

    def __init__(self) -> None:
        self.custodian = ""
        self._line: socket.socket | None = None

    def hand_over(self, link: Link, salt: str) -> None:
        """Give a duplicate of the connection's socket away."""
        self.close()
        if not self.custodian or not link.transport.may_be_shared:
            return
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(_FULL)
            line.connect(_address(self.custodian))
            hello = msgspec.json.encode(_Hello(salt, link.heartbeat)) + b"\n"
            socket.send_fds(line, [hello], [link.transport.socket.fileno()])
        except OSError:  # the supervisor has gone, or does not listen: then all goes back, as without it
            line.close()
            return
        self._line = line

    def moved(self, tag: str, channel: int, number: int) -> None:
        """Tell where a delivery is held now."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.sendall(msgspec.json.encode(_Moved(tag, channel, number)) + b"\n")

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


class Custodian:
    """The supervisor's end. Thread-safe."""

    def __init__(self) -> None:
        self._guard_charges = threading.Lock()
        self._folder: str | None = None
        self._listener: socket.socket | None = None
        self._charges: list[_Charge] = []

    def listen(self) -> str:
        """Begin to take connections; return the address for `Ward.custodian`, empty where that cannot be."""
        if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
            return ""
        try:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if sys.platform == "linux":  # a name that is no file: a node that is killed leaves nothing behind
                path = f"@celeriac-{os.urandom(16).hex()}"
            else:
                self._folder = tempfile.mkdtemp(prefix="celeriac-")
                path = os.path.join(self._folder, "custody")  # noqa: PTH118  a path for the kernel
            self._listener.bind(_address(path))
            self._listener.listen(128)
            self._listener.setblocking(False)
        except OSError:  # no room for temporary files, or too long a path
            self.close()
            return ""
        return path

    def settle(self, leases: Sequence[Lease], method: str) -> list[Lease]:
        """Settle what dead engines held, by ``basic.ack`` or ``basic.nack``; return the leases that are lost."""
        lost: list[Lease] = []
        with self._guard_charges:
            self._take_in()
            for lease in leases:
                salt = lease.tag.partition(".")[0]
                charge = next((each for each in self._charges if each.salt == salt and each.is_orphaned), None)
                if charge is None or not charge.settle(lease.tag, method):
                    lost.append(lease)
        return lost

    def look_after(self) -> None:
        """Keep connections alive whose engines are busy, and let go of those whose engines ended a while ago."""
        if self._listener is None:
            return
        with self._guard_charges:
            self._take_in()
            now = time.monotonic()
            for charge in self._charges:
                charge.beat(now)
            for charge in [each for each in self._charges if each.is_over(now)]:
                self._charges.remove(charge)
                charge.close()

    def close(self) -> None:
        """Let go of all. Idempotent."""
        with self._guard_charges:
            charges, self._charges = self._charges, []
            listener, self._listener = self._listener, None
            folder, self._folder = self._folder, None
        for charge in charges:
            charge.close()
        if listener is not None:
            listener.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def forget_parent(self) -> None:
        """Close what was inherited; the address goes on being the parent's."""
        self._guard_charges = threading.Lock()
        self._folder = None
        self.close()

    def _take_in(self) -> None:
        """Accept whoever waits, and read what was told. Called with the lock held."""
        while self._listener is not None:
            try:
                line, _ = self._listener.accept()
            except OSError:  # nobody waits
                break
            charge = _charge_of(line)
            if charge is None:
                line.close()
            else:
                self._charges.append(charge)
        for charge in self._charges:
            charge.listen()


class _Charge:
    """One engine's connection, in the supervisor."""

    def __init__(self, line: socket.socket, hello: _Hello, shared: socket.socket) -> None:
        self.salt = hello.salt
        self.is_orphaned = False
        """Whether the engine has let go of it: it died, or it has another."""
        self._heartbeat = hello.heartbeat
        line.setblocking(False)
        self._line = line
        self._shared = shared
        self._moved: dict[str, tuple[int, int]] = {}
        self._unread = b""
        self._orphaned_at = 0.0
        self._beat_at = time.monotonic()

    def listen(self) -> None:
        """Read what the engine told, and whether it is there."""
        while not self.is_orphaned:
            try:
                data = self._line.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data or len(self._unread) > _MOST_NOTES:
                self.is_orphaned, self._orphaned_at = True, time.monotonic()
                return
            *lines, self._unread = (self._unread + data).split(b"\n")
            for each in lines:
                with contextlib.suppress(msgspec.MsgspecError):
                    moved = msgspec.json.decode(each, type=_Moved)
                    self._moved[moved.tag] = (moved.channel, moved.number)

    def settle(self, tag: str, method: str) -> bool:
        """Say on the engine's connection what becomes of a delivery. False when that cannot be said."""
        came = place_of(tag)
        if came is None:
            return False
        channel, number, consumer = came
        ending = b""
        if tag in self._moved:
            channel, number = self._moved.pop(tag)
        else:  # whoever is told that there is room is sent more
            ending = method_frame(channel, "basic.cancel", consumer, True)
        flags = (False,) if method == "basic.ack" else (False, True)
        return self._send(ending + method_frame(channel, method, number, *flags))

    def beat(self, now: float) -> None:
        if self._heartbeat and not self.is_orphaned and now - self._beat_at > self._heartbeat / 3:
            self._beat_at = now
            with contextlib.suppress(OSError):  # its buffer is full, so it is not silent
                self._shared.send(HEARTBEAT_FRAME, socket.MSG_DONTWAIT)

    def is_over(self, now: float) -> bool:
        return self.is_orphaned and now - self._orphaned_at > _LAST

    def close(self) -> None:
        self._line.close()
        self._shared.close()

    def _send(self, frame: bytes) -> bool:
        until = time.monotonic() + _FULL
        while time.monotonic() < until:
            try:
                return self._shared.send(frame, socket.MSG_DONTWAIT) == len(frame)
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return False
        return False


def _address(name: str) -> str:
    """Return a name as the kernel has it."""
    return "\0" + name[1:] if name.startswith("@") else name


def _charge_of(line: socket.socket) -> _Charge | None:
    """Read the greeting of an engine; None where it is none."""
    line.settimeout(_FULL)
    try:
        data, descriptors, _, _ = socket.recv_fds(line, 4096, 1)
        hello, newline, _ = data.partition(b"\n")
        if not newline or not descriptors:
            return None
        return _Charge(line, msgspec.json.decode(hello, type=_Hello), socket.socket(fileno=descriptors[0]))
    except (OSError, msgspec.MsgspecError):
        return None
