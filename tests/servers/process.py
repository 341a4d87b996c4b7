"""A server in a process of its own: in a temporary directory, in a process group of its own, and gone at the end."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

ENDING = 60.0
"""Seconds that a server may take to end."""


class ServerProcess:
    """What is common to all servers that tests start; each says in `start` how."""

    port: int

    def __init__(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"celeriac-{kind}-"))
        self.is_paused = False
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / "server.log").read_text()[-2000:]

    def url_at(self, port: int) -> str:
        """Return the URL by which the server is reached through another port, such as a proxy's."""
        raise NotImplementedError

    def start(self) -> Self:
        """Start it; return when it serves."""
        raise NotImplementedError

    def stop(self) -> None:
        """Shut it down cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.is_paused = False

    def close_connections(self) -> None:
        """Have it close every client's connection at once."""
        raise NotImplementedError

    def remove(self) -> None:
        """End it and delete its directory."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            os.killpg(self.pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(number)
        self.resume()
        self._process.wait(ENDING)
        self._process = None
