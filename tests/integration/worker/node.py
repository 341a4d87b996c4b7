"""A worker as a user starts it: a process of its own, with its log kept and its family known."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

DEADLINE = 15.0
"""Seconds after which anything that was waited for counts as never coming."""


def until(reached: Callable[[], object], what: str = "the awaited state", *, deadline: float = DEADLINE) -> None:
    """Return when `reached` says so; fail after `deadline` seconds."""
    ends = time.monotonic() + deadline
    while not reached():
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come within {deadline} s")
        time.sleep(0.02)


@contextlib.contextmanager
def stand_still(pids: Iterable[int]) -> Iterator[list[int]]:
    """Freeze processes for as long as the block takes; give those that live, once none of them moves any more."""
    still = [pid for pid in pids if _signal(pid, signal.SIGSTOP)]
    try:
        until(lambda: all((_stat(pid) or "Z")[0] in "TZX" for pid in still), "the standstill of processes")
        yield still
    finally:
        for pid in still:
            _signal(pid, signal.SIGCONT)


class WorkerProcess:
    """``python -m celeriac -A APP worker ...`` in a session of its own."""

    def __init__(
        self,
        app: str,
        *arguments: str,
        directory: Path,
        environment: Mapping[str, str],
        number: int = 1,
    ) -> None:
        self.directory = directory
        self._log_path = directory / f"worker-{number}.log"
        command = [sys.executable, "-m", "celeriac", "-A", app, "worker", "-l", "info", *arguments]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._family: dict[int, str] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> WorkerProcess:
        """Return when the worker has said that it is ready."""
        until(lambda: " ready." in self.log or not self.is_running, "the worker's 'ready.'")
        assert " ready." in self.log, f"the worker ended by itself:\n{self.log}"
        self.family()
        return self

    def family(self) -> list[int]:
        """Return the living processes of the worker's session, the node itself first."""
        living = _session(self.pid)
        self._family.update(living)
        return sorted(living)

    def engines(self) -> list[int]:
        """Return the living engine processes: spawned by the node, or forked by the process that does nothing else."""
        family = self.family()
        spawned = {pid for pid in family if _is_spawned(pid)}
        forking = {pid for pid in family if _parent(pid) == self.pid} - spawned
        return [pid for pid in family if pid in spawned or _parent(pid) in forking]

    def forking_process(self) -> int:
        """Return the process that forks engines."""
        (found,) = [pid for pid in self.family() if _parent(pid) == self.pid and not _is_spawned(pid)]
        return found

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt_group(self) -> None:
        """Do what Ctrl-C in a terminal does: INT to every process of the group."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> int:
        """Stop the worker warmly; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code, once the worker and its whole family have ended."""
        code = self._process.wait(DEADLINE)
        until(lambda: not self._left(), "the end of the worker's children")
        return code

    def kill(self) -> None:
        """End the whole family at once, as a power cut would. Children come first: those that stand still wake when a
        parent dies.
        """
        for pid in reversed(self.family()):
            _signal(pid, signal.SIGKILL)
        self._process.wait(DEADLINE)
        until(lambda: not self._left(), "the end of the killed")

    def kill_supervisor(self) -> None:
        """End the node's own process alone."""
        self.family()
        self._process.kill()
        self._process.wait(DEADLINE)

    def _left(self) -> list[int]:
        return [pid for pid in self._family if _started(pid) == self._family[pid]]


def _signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal. False when the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _session(leader: int) -> dict[int, str]:
    """Return the living processes of a session with the moments of their start, which tell reused ids apart."""
    found = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields and int(fields[3]) == leader and fields[0] != "Z":
            found[int(entry.name)] = fields[19]
    return found


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _is_spawned(pid: int) -> bool:
    try:
        return b"celeriac.worker.spawned" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _started(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/PID/stat`` from the state on; None for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
