"""Starting engine processes: forked from the zygote, or as new interpreters where there is no fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing import AuthenticationError, Pipe
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Final, Protocol

from celeriac.exceptions import ImproperlyConfigured
from celeriac.types import Seconds
from celeriac.worker.options import NodePlan
from celeriac.worker.zygote import EngineMain, Spawned, Zygote

_CONNECT: Final[Seconds] = 30.0
"""Seconds that a new interpreter may take until it connects to the node."""
_LOOK: Final[Seconds] = 0.1


class Launcher(Protocol):
    """Starts engines and tells how they ended. Used by the supervisor's thread alone."""

    def launch(self, index: int) -> Connection:
        """Start the engine with this number; return the supervisor's end of its pipe."""

    def waitables(self) -> Sequence[Any]:
        """Return what to wait on beside the pipes; when one is readable, call `exits`."""

    def exits(self) -> Sequence[tuple[int, int]]:
        """Return number and status of the engines that ended since; status is minus the signal that killed it."""

    def pid(self, index: int) -> int | None:
        """Return the engine's process id, None while it is not known."""

    def close(self) -> None:
        """Let go; engines that still run are left alone."""


class ForkLauncher:
    """Forks from a zygote. Make it before the process has threads or connections."""

    def __init__(self, engine_main: EngineMain) -> None:
        self._zygote = Zygote.start(engine_main)
        self._index_of: dict[int, int] = {}

    def launch(self, index: int) -> Connection:
        ours, theirs = Pipe()
        self._zygote.spawn(index, theirs)
        theirs.close()
        return ours

    def waitables(self) -> Sequence[Any]:
        return [self._zygote]

    def exits(self) -> Sequence[tuple[int, int]]:
        """Raises OSError when the zygote is gone: no engine can be replaced any more."""
        reports = self._zygote.reports()
        if reports is None:
            raise OSError("the process that forks engines is gone")
        ended = []
        for report in reports:
            if isinstance(report, Spawned):
                self._index_of[report.pid] = report.index
            else:
                ended.append((self._index_of.pop(report.pid), report.status))
        return ended

    def pid(self, index: int) -> int | None:
        return next((pid for pid, number in self._index_of.items() if number == index), None)

    def close(self) -> None:
        self._zygote.close()


class SpawnLauncher:
    """Starts new interpreters, which import the application by its name, and inherit the board (see `Board.handle`)."""

    def __init__(self, plan: NodePlan, board: int | None) -> None:
        if plan.app_spec is None:
            raise ImproperlyConfigured(
                "Engines that are spawned need the application's name: celeriac -A module worker."
            )
        self._plan = plan
        self._inherited = () if board is None else (board,)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._key = os.urandom(16)
        self._listener = Listener(authkey=self._key)

    def launch(self, index: int) -> Connection:
        command = [sys.executable, "-m", "celeriac.worker.spawned", str(self._listener.address), str(index)]
        environment = {**os.environ, "CELERIAC_ENGINE_KEY": self._key.hex()}
        child = self._children[index] = subprocess.Popen(command, env=environment, pass_fds=self._inherited)
        connected = threading.Event()
        watch = threading.Thread(target=self._watch, args=(child, connected), name="celeriac-launch", daemon=True)
        watch.start()
        try:
            pipe = self._listener.accept()
            pipe.send(self._plan)
        except (OSError, EOFError, AuthenticationError):
            return _ended_pipe()
        finally:
            connected.set()
        return pipe

    def waitables(self) -> Sequence[Any]:
        return []

    def exits(self) -> Sequence[tuple[int, int]]:
        ended = [(index, status) for index, child in self._children.items() if (status := child.poll()) is not None]
        for index, _ in ended:
            del self._children[index]
        return ended

    def pid(self, index: int) -> int | None:
        child = self._children.get(index)
        return None if child is None else child.pid

    def close(self) -> None:
        self._listener.close()

    def _watch(self, child: subprocess.Popen[bytes], connected: threading.Event) -> None:
        """End the wait for a child that died, or hangs, before it connected: connect in its place, and hang up."""
        ends = time.monotonic() + _CONNECT
        while not connected.wait(_LOOK):
            if child.poll() is not None or time.monotonic() > ends:
                child.kill()
                Client(self._listener.address, authkey=self._key).close()
                return


def _ended_pipe() -> Connection:
    """Return the supervisor's end of a pipe to an engine that is gone."""
    ours, theirs = Pipe()
    theirs.close()
    return ours
