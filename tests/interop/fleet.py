"""Processes of both libraries around one Redis: clients that are told what to do, and workers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tests.servers.redis import RedisServer

BOTH = Path(__file__).parent / "both"
SOURCES = Path(__file__).parents[2] / "src"
STOCK, OURS = "celery", "celeriac"
LIBRARIES = (STOCK, OURS)
DEADLINE = 15.0


def stock_python() -> str | None:
    """Return the interpreter that has stock Celery; None where there is none."""
    return os.environ.get("CELERIAC_STOCK_PYTHON") or None


def until(holds: Callable[[], bool], *, why: Callable[[], str] = lambda: "") -> None:
    """Wait for a condition."""
    end = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE} s. {why()}")
        time.sleep(0.01)


class Client:
    """A process of one library that sends tasks and reads results."""

    def __init__(self, process: subprocess.Popen[str], library: str) -> None:
        self._process = process
        self.library = library

    def __getattr__(self, command: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._ask(command, args, kwargs)

    def _ask(self, command: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        request, answers = self._process.stdin, self._process.stdout
        assert request is not None
        assert answers is not None
        request.write(base64.b64encode(pickle.dumps((command, args, kwargs))).decode() + "\n")
        request.flush()
        worked, value = pickle.loads(base64.b64decode(answers.readline()))
        assert worked, f"the {self.library} client failed:\n{value}"
        return value


class Worker:
    """A worker process, the head of its own group."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, library: str) -> None:
        self._process = process
        self._log = log
        self.library = library

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self) -> Worker:
        until(lambda: " ready." in self.log() or self._process.poll() is not None, why=self.log)
        assert self._process.poll() is None, f"the {self.library} worker ended:\n{self.log()}"
        return self

    def begin_stop(self) -> None:
        """Ask for a warm stop."""
        self._process.terminate()

    def wait_stopped(self) -> None:
        self._process.wait(DEADLINE)

    def stop(self) -> None:
        """Stop warmly."""
        self.begin_stop()
        self.wait_stopped()

    def kill(self) -> None:
        """End the worker with all its children, as a lost machine would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE)


class Fleet:
    """What is started around one broker, and ended with it. `settings` are for all of it."""

    def __init__(self, server: RedisServer, folder: Path, **settings: Any) -> None:
        self.server = server
        self.ledger = server.client()
        self.settings = {
            "broker_url": server.url,
            "result_backend": server.url,
            "accept_content": ["json", "pickle", "yaml", "msgpack"],
            "task_acks_late": True,
            "broker_connection_retry_on_startup": True,
            "include": ["canvases"],
            **settings,
        }
        self._folder = folder
        self._workers: list[Worker] = []
        self._clients: dict[str, Client] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        for worker in self._workers:
            worker.kill()
        print(self.logs())  # pytest shows it with a failure
        self.ledger.close()

    def client(self, library: str) -> Client:
        """Return the fleet's client of that library."""
        if library not in self._clients:
            self._clients[library] = self.start_client(library)
        return self._clients[library]

    def start_client(self, library: str, **settings: Any) -> Client:
        process = self._open.enter_context(
            subprocess.Popen(
                [python(library), str(BOTH / "agent.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment(library, **settings),
            )
        )
        return Client(process, library)

    def start_worker(self, library: str, *arguments: str, **settings: Any) -> Worker:
        """Start a worker; it is ready some time later, see `Worker.wait_ready`."""
        log = self._folder / f"{library}-{uuid.uuid4().hex[:6]}.log"
        lonely = ("--without-gossip", "--without-mingle", "--without-heartbeat") if library == STOCK else ()
        with log.open("wb") as file:
            process = subprocess.Popen(
                [python(library), "-m", library, "-A", "project", "worker", "-l", "info", *lonely, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self.environment(library, **settings),
                cwd=self._folder,
                start_new_session=True,
            )
        worker = Worker(process, log, library)
        self._workers.append(worker)
        return worker

    def run(self, library: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the library, such as ``call``."""
        return subprocess.run(
            [python(library), "-m", library, "-A", "project", *arguments],
            env=self.environment(library),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def environment(self, library: str, **settings: Any) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CELERIAC_", "CELERY_", "PYTHONPATH"))}
        paths = [str(BOTH)] if library == STOCK else [str(BOTH), str(SOURCES)]
        return kept | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "C_FORCE_ROOT": "1",  # stock workers refuse pickle as root otherwise
            "NO_COLOR": "1",
            "INTEROP_LIBRARY": library,
            "INTEROP_SETTINGS": json.dumps({**self.settings, **settings}),
            "INTEROP_LEDGER": self.server.url,
        }

    def written(self, key: str) -> list[str]:
        """Return what tasks wrote down under a key."""
        return [value.decode() for value in self.ledger.lrange(key, 0, -1)]

    def logs(self) -> str:
        return "\n".join(f"--- {worker.library}\n{worker.log()}" for worker in self._workers)

    def outcome(self, task_id: str, **options: Any) -> dict[str, Any]:
        """Wait for a task's end and return what a client of each library reads of it, which must be the same."""
        readings = [self.client(library).outcome(task_id, **options) for library in LIBRARIES]
        assert readings[0] == readings[1]
        return dict(readings[0])


def python(library: str) -> str:
    stock = stock_python()
    assert stock is not None
    return stock if library == STOCK else sys.executable


@contextlib.contextmanager
def fleet_of_its_own(folder: Path, **settings: Any) -> Iterator[Fleet]:
    """Give a fleet with a Redis that nobody else uses."""
    with RedisServer() as server, Fleet(server, folder, **settings) as fleet:
        yield fleet
