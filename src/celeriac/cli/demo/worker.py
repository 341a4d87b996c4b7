"""The worker that the demo starts, as a user would from another terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from celeriac.cli.errors import Failure

_STOP_WITHIN: Final = 15.0
"""Seconds that a warm stop may take before the demo counts it as failed."""


class DemoWorker:
    """A worker process with its log in a file. `stop` it whatever happens: it outlives the demo otherwise."""

    def __init__(self, directory: Path, settings: Sequence[str]) -> None:
        self._directory = directory
        self._log = directory / "worker.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it logs to its file and ignores the terminal."""
        command = [sys.executable, "-m", "celeriac", "-A", "celeriac.cli.demo.tasks:app", "--quiet", "worker"]
        command += ["--hostname", "demo@%h", "--concurrency", "4", "--loglevel", "info", "--", *self._settings]
        with self._log.open("wb") as log:
            # A session of its own, so that Ctrl-C reaches the demo alone, which then stops the worker warmly.
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def check(self) -> None:
        """Raise `Failure` with the end of its log if it has exited."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise Failure(f"The worker exited with code {code} before the tasks were done. Its log ends:\n{self.log()}")

    def stop(self) -> int | None:
        """Ask it to stop warmly and return its exit code; None when it had to be killed, or never began."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=_STOP_WITHIN)
            return None

    def log(self, *, lines: int = 20) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
