"""A system at work on an empty store: its client, its node, and what both cost."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import processes
from benchmarks.stores import Store
from benchmarks.systems.system import ROOT, SIDES, TWO_ENGINES, Shape, System, Work

PATIENCE = 300.0
"""Seconds that any one step may take before the run is given up."""

POLL = 0.005

Watch = Callable[[str, int], None]


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


class Worker:
    """A node that runs."""

    def __init__(self, process: subprocess.Popen[bytes], store: Store) -> None:
        self._process = process
        self._store = store

    def cost(self) -> Cost:
        """Return what node and server have used so far."""
        return Cost(time.monotonic(), processes.cpu_seconds(self._process.pid), self._store.cpu_seconds())

    def memory(self) -> int:
        """Return the node's PSS in bytes."""
        return processes.pss_bytes(self._process.pid)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all processes of the node meanwhile."""
        members = processes.family(self._process.pid)
        for member in members:
            os.kill(member, signal.SIGSTOP)
        try:
            yield
        finally:
            for member in members:
                os.kill(member, signal.SIGCONT)


class Site:
    """One system on one store.

    `work` is what the system is set up for; `settings` are for its application, where its side takes any. `ledger` is
    a file for the tasks that write down their ends. `redis_url` is an empty Redis for what else a system keeps. `watch`
    is called with "client" or "worker" and the process id as soon as one was started.
    """

    def __init__(  # noqa: PLR0913  each is independent of the others
        self,
        system: System,
        store: Store,
        *,
        work: Work = "many",
        ledger: str = os.devnull,
        redis_url: str = "",
        watch: Watch | None = None,
    ) -> None:
        self.system = system
        self.store = store
        self.work = work
        self.ledger = ledger
        self.redis_url = redis_url
        self.settings: Mapping[str, Any] = {}
        self._watch = watch

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Start a client; its end is awaited."""
        command = [str(SIDES / "client.py"), self.system.side]
        process = self._start("client", command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Client(process)
        finally:
            process.stdin.close()  # the client's loop ends here
            _end(process)
            process.stdout.close()

    @contextlib.contextmanager
    def worker(self, shape: Shape = TWO_ENGINES) -> Iterator[Worker]:
        """Start a node; it is stopped as an operator would, by SIGTERM.

        What it logs is shown only when something goes wrong. A node of a shape that the system lacks is an error.
        """
        command = self.system.worker(shape)
        if command is None:
            raise ValueError(f"{self.system.title} has no {shape.kind}")
        with tempfile.TemporaryFile("w+") as log:
            process = self._start("worker", command, stdout=log, stderr=log)
            try:
                yield Worker(process, self.store)
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read()[-5000:])
                raise
            finally:
                process.terminate()
                _end(process)

    def has(self, shape: Shape) -> bool:
        """Tell whether the system can run a node of that shape."""
        return self.system.worker(shape) is not None

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run the system's interpreter to its end; return the JSON that it prints."""
        process = self._start("other", arguments, stdout=subprocess.PIPE, text=True)
        printed, _ = process.communicate(timeout=PATIENCE)
        answer: dict[str, Any] = json.loads(printed)
        return answer

    def wait_until_done(self, *, poll: float = POLL) -> None:
        """Return when nothing is queued or held, looking every `poll` seconds.

        Raises RuntimeError after `PATIENCE` seconds.
        """
        deadline = time.monotonic() + PATIENCE
        while not self.store.is_done():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.system.title} had not finished after {PATIENCE} s")
            time.sleep(poll)

    def _start(self, part: str, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        python = self.system.python()
        path = [str(SIDES), str(ROOT / "src")] if python == sys.executable else [str(SIDES)]
        environment = {
            **os.environ,
            **self.system.tuned.get(self.work, {}),
            "BENCHMARK_URL": self.store.url,
            "BENCHMARK_SETTINGS": json.dumps(dict(self.settings)),
            "BENCHMARK_LEDGER": self.ledger,
            "BENCHMARK_REDIS_URL": self.redis_url,
            "BENCHMARK_COROUTINES": "1" if self.work == "waiting" else "",
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONWARNINGS": "ignore",
            "PYTHONDONTWRITEBYTECODE": "",  # installed packages are compiled, and so is this one then
        }
        process = subprocess.Popen([python, *arguments], env=environment, **options)
        if self._watch is not None:
            self._watch(part, process.pid)
        return process


def _end(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
