"""A system at work on an empty Redis: its client, its worker, and what both cost."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks import processes
from benchmarks.systems.system import ROOT, SIDES, System

PATIENCE = 300.0
"""Seconds that any one step may take before the run is given up."""

_POLL = 0.005
_OWN_COMMANDS = frozenset({"touch", "info", "rename", "memory|usage", "config|resetstat"})
"""Commands of the benchmark itself; no worker uses them, so they are left out of the count."""

_STAGED = "benchmark:staged:"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and wall seconds up to a moment, or between two."""

    wall: float
    worker: float
    broker: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.worker - other.worker, self.broker - other.broker)


class Client:
    """The client's process; `do` has it carry out a command of `sides/client.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the client's answer. Raises RuntimeError when it fails or takes longer than `PATIENCE`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError(f"The client did not answer to {command!r} within {PATIENCE} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The client ended during {command!r}; see above for its error")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Site:
    """One system on one server, which is emptied first.

    `watch` is called with "client" or "worker" and the process id as soon as one was started.
    """

    def __init__(self, system: System, url: str, *, watch: Callable[[str, int], None] | None = None) -> None:
        self.system = system
        self._url = url
        self._watch = watch
        self.server = redis.Redis.from_url(url)
        self.server.flushall()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Start a client; its end is awaited."""
        command = [str(SIDES / "client.py"), self.system.side]
        process = self._start("client", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Client(process)
        finally:
            process.stdin.close()  # the client's loop ends here
            _end(process)

    @contextlib.contextmanager
    def worker(self) -> Iterator[Worker]:
        """Start a node with two engines; it is stopped as an operator would, by SIGTERM.

        What it logs is shown only when something goes wrong.
        """
        with tempfile.TemporaryFile("w+") as log:
            process = self._start("worker", self.system.worker, stdout=subprocess.DEVNULL, stderr=log)
            try:
                yield Worker(process, self.server)
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read()[-5000:])
                raise
            finally:
                process.terminate()
                _end(process)

    def stage(self) -> None:
        """Put what is queued out of the worker's sight, so that a worker can start and rest before it begins."""
        for key in self.system.queues:
            self.server.rename(key, _STAGED + key)

    def release(self) -> None:
        """Give what was staged to the worker at one stroke."""
        for key in self.system.queues:
            self.server.rename(_STAGED + key, key)

    def wait_until_done(self) -> None:
        """Return when nothing is queued or held. Raises RuntimeError after `PATIENCE` seconds."""
        deadline = time.monotonic() + PATIENCE
        while self.server.execute_command("TOUCH", *self.system.unfinished):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.system.title} had not finished after {PATIENCE} s")
            time.sleep(_POLL)

    def queued_bytes(self) -> int:
        """Return the memory of the queues' keys."""
        return sum(self.server.memory_usage(key, samples=0) or 0 for key in self.system.queues)

    def _start(self, part: str, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        python = self.system.python()
        path = [str(SIDES), str(ROOT / "src")] if python == sys.executable else [str(SIDES)]
        environment = {
            **os.environ,
            "BENCHMARK_URL": self._url,
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONWARNINGS": "ignore",
        }
        process = subprocess.Popen([python, *arguments], env=environment, **options)
        if self._watch is not None:
            self._watch(part, process.pid)
        return process


class Worker:
    """A node that runs."""

    def __init__(self, process: subprocess.Popen[bytes], server: redis.Redis) -> None:
        self._process = process
        self._server = server

    def cost(self) -> Cost:
        """Return what node and server have used so far."""
        info = self._server.info("cpu")
        broker = info["used_cpu_user"] + info["used_cpu_sys"]
        return Cost(time.monotonic(), processes.cpu_seconds(self._process.pid), broker)

    def memory(self) -> int:
        """Return the node's PSS in bytes."""
        return processes.pss_bytes(self._process.pid)

    def forget_commands(self) -> None:
        """Count the server's commands anew."""
        self._server.config_resetstat()

    def commands(self) -> dict[str, int]:
        """Return how often each command ran since, those inside scripts included, the benchmark's own left out."""
        stats = self._server.info("commandstats")
        counts = {name.removeprefix("cmdstat_").lower(): entry["calls"] for name, entry in stats.items()}
        return {name: count for name, count in counts.items() if name not in _OWN_COMMANDS}


def _end(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
