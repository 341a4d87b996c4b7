"""A forked copy of the node, made before the node had threads, that forks engines on request.

The application is imported once, in the node; engines share its memory. Forking from the node itself is no choice: it
has threads by then, whose locks a fork would copy in whatever state they are. `multiprocessing`'s fork server would
import everything a second time and bring a process of its own for tracking resources.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

import msgspec
from msgspec import Struct

from celeriac.worker import heap

logger = logging.getLogger(__name__)

_FRAME: Final = 4096
_PR_SET_PDEATHSIG: Final = 1


class Request(Struct, frozen=True, tag="spawn"):
    """Fork the engine with this number; the pipe's end comes along as a file descriptor."""

    index: int


class Spawned(Struct, frozen=True, tag="spawned"):
    """The engine's process id."""

    index: int
    pid: int


class Exited(Struct, frozen=True, tag="exited"):
    """A process ended: `status` is its exit code, or minus the signal that killed it."""

    pid: int
    status: int


Report = Spawned | Exited
_reports = msgspec.json.Decoder(Report)
_requests = msgspec.json.Decoder(Request)

EngineMain = Callable[[int, Connection], int]
"""What an engine's process runs: number and pipe in, exit code out."""


class Zygote:
    """The node's handle on the forking process. Used by one thread."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        self._buffer = b""

    @classmethod
    def start(cls, engine_main: EngineMain) -> Zygote:
        """Fork. Call it before any thread was started or any connection opened."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        heap.settle()
        pid = os.fork()
        if pid == 0:
            ours.close()
            code = 1
            try:
                code = _serve(theirs, engine_main)
            finally:
                os._exit(code)
        theirs.close()
        return cls(pid, ours)

    def fileno(self) -> int:
        """For waiting until `reports` has something."""
        return self._channel.fileno()

    def spawn(self, index: int, pipe: Connection) -> None:
        """Ask for an engine; `Spawned` is reported. Raises OSError when the forking process is gone."""
        frame = msgspec.json.encode(Request(index)) + b"\n"
        self._channel.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pipe.fileno()]))])

    def reports(self) -> list[Report] | None:
        """Read what was reported; None when the forking process is gone. Blocks unless `fileno` is readable."""
        data = self._channel.recv(_FRAME)
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [_reports.decode(line) for line in lines]

    def close(self) -> None:
        """Let the forking process end, and wait for it. Engines that still run go on without it."""
        self._channel.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def ignore_stop_signals() -> None:
    """Leave INT and TERM to the node, which tells its engines.

    Handlers that do nothing, rather than SIG_IGN: programs that tasks start must not inherit deafness.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, _nothing)


def wake_when_orphaned() -> None:
    """Have this process go on, if it stands still, when its parent dies; on Linux, which can do that.

    It would not see that it has to end. One that runs does not notice the signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal by doing nothing."""


def _serve(channel: socket.socket, engine_main: EngineMain) -> int:
    """Fork engines until the node closes the channel; report what becomes of them."""
    ignore_stop_signals()
    wake_when_orphaned()
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        readable, _, _ = select.select([channel.fileno(), woken], [], [])
        if woken in readable:
            with contextlib.suppress(BlockingIOError):
                while os.read(woken, _FRAME):
                    pass
            _report_exits(channel)
        if channel.fileno() in readable and not _spawn_requested(channel, engine_main, (woken, wake)):
            return 0


def _spawn_requested(channel: socket.socket, engine_main: EngineMain, own: tuple[int, int]) -> bool:
    """Carry out requests. False when the node is gone. A request comes with exactly one descriptor."""
    data, descriptors, _, _ = socket.recv_fds(channel, _FRAME, 16)
    if not data:
        return False
    for line, descriptor in zip(data.splitlines(), descriptors, strict=True):
        request = _requests.decode(line)
        pid = os.fork()
        if pid == 0:
            _become_engine(channel, own, request.index, descriptor, engine_main)
        os.close(descriptor)
        channel.sendall(msgspec.json.encode(Spawned(request.index, pid)) + b"\n")
    return True


def _become_engine(
    channel: socket.socket, own: tuple[int, int], index: int, descriptor: int, engine_main: EngineMain
) -> None:
    """Run the engine in this new process and end it. Never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel.close()
        for number in own:
            os.close(number)
        code = engine_main(index, Connection(descriptor))
    except BaseException:
        logger.exception("The engine ended with an error")
    finally:
        logging.shutdown()
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        os._exit(code)


def _report_exits(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.sendall(msgspec.json.encode(Exited(pid, os.waitstatus_to_exitcode(status))) + b"\n")
