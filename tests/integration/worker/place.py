"""A user's place: a directory with modules of tasks, a store of its own, a client, and the workers started there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import redis
from msgspec import structs

from celeriac import AsyncResult, Celeriac
from celeriac.app.dispatch import Call
from celeriac.interfaces.broker import QueueStats
from tests.integration.worker import ledger
from tests.integration.worker.ledger import Ledger
from tests.integration.worker.node import DEADLINE, WorkerProcess, until

ROOT = Path(__file__).parents[3]
APPS = Path(__file__).with_name("apps")


class Place:
    """Everything that one test uses. `broker_url` None leaves all to the default of an unconfigured application.

    `settings` are those of clients and workers alike. `counts` tells by queue how many messages are ready and how many
    are held, where the store does not tell a client.
    """

    def __init__(  # noqa: PLR0913  each is independent of the others
        self,
        directory: Path,
        *,
        broker_url: str | None,
        transport: Mapping[str, Any],
        results: str | None = None,
        settings: Mapping[str, str] | None = None,
        counts: Callable[[], Mapping[str, tuple[int, int]]] | None = None,
    ) -> None:
        self._counts = counts
        self.directory = directory
        self.settings = dict(settings or {})
        self.results = results
        self.broker_url = broker_url
        self.transport = dict(transport)
        self.ledger = Ledger(directory / "ledger")
        self.workers: list[WorkerProcess] = []
        self._clients: list[Celeriac] = []
        for module in APPS.glob("*.py"):
            shutil.copy(module, directory)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CELERIAC_", "CELERY_"))}
        paths = [str(ROOT), str(ROOT / "src")]
        ours = {
            "CELERIAC_WORKER_HEALTH_FILE": str(self.directory / "%n.health"),
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            ledger.VARIABLE: str(self.ledger.path),
        }
        if self.broker_url:
            ours["CELERIAC_BROKER_URL"] = self.broker_url
        if self.results:
            ours["CELERIAC_RESULT_BACKEND"] = self.results
        ours |= {f"CELERIAC_{name.upper()}": text for name, text in self.settings.items()}
        if self.transport:
            ours["CELERIAC_BROKER_TRANSPORT_OPTIONS"] = json.dumps(self.transport)
        return kept | ours

    def write(self, module: str, text: str) -> None:
        """Write a module as a user would."""
        (self.directory / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    def worker(self, *arguments: str, app: str = "shop", ready: bool = True, **environment: str) -> WorkerProcess:
        """Start a worker; return it when it is ready, or at once."""
        worker = WorkerProcess(
            app,
            *arguments,
            directory=self.directory,
            environment=self.environment | environment,
            number=len(self.workers) + 1,
        )
        self.workers.append(worker)
        return worker.wait_ready() if ready else worker

    def client(self, **settings: Any) -> Celeriac:
        """Return an application that knows no tasks, connected to the same store."""
        url = self.broker_url or f"sqlite:///{self.directory / 'celeriac.db'}"
        if self.results:
            settings.setdefault("result_backend", self.results)
        settings = self.settings | settings
        client = Celeriac(
            "client", broker=url, broker_transport_options=self.transport, set_as_current=False, **settings
        )
        self._clients.append(client)
        return client

    @property
    def app(self) -> Celeriac:
        """The test's own client."""
        return self._clients[0] if self._clients else self.client()

    def send(self, name: str, *args: Any, **options: Any) -> AsyncResult[Any]:
        return self.app.send_task(f"shop.{name}", args, **options)

    def send_many(self, name: str, calls: Sequence[tuple[Any, ...]]) -> list[AsyncResult[Any]]:
        """Send one task for each tuple of arguments, all together."""
        prepared = [Call(name=f"shop.{name}", args=args, kwargs={}, options={}) for args in calls]
        return self.app.dispatcher.send_many(prepared)

    def run(self, code: str) -> str:
        """Run a program in this place as a user would; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stats(self, queue: str = "celery") -> QueueStats:
        stats = self.app.broker.stats([queue])[queue]
        if self._counts is None:
            return stats
        counts = self._counts()
        delayed = sum(sum(each) for name, each in counts.items() if "_delayed_" in name)
        parked = sum(sum(each) for name, each in counts.items() if name.startswith("celeriac.held"))
        return structs.replace(stats, delayed=delayed, leased=parked + counts.get(queue, (0, 0))[1])

    def until_idle(self, queue: str = "celery", *, deadline: float = DEADLINE) -> None:
        """Return when the queue holds nothing that is to be done: neither ready, nor delayed, nor held."""

        def is_idle() -> bool:
            stats = self.stats(queue)
            return (stats.ready, stats.delayed, stats.leased) == (0, 0, 0)

        try:
            until(is_idle, f"the end of the work on {queue}", deadline=deadline)
        except AssertionError as error:
            told = "" if self._counts is None else f", of which the server tells {self._counts()}"
            raise AssertionError(f"{error}: {self.stats(queue)}{told}") from None

    def until_left(self, ready: int, *, queue: str = "celery") -> None:
        """Return when so many are ready and none is held; a server may note the end of a connection a moment later."""

        def is_so() -> bool:
            stats = self.stats(queue)
            return (stats.ready, stats.leased) == (ready, 0)

        until(is_so, f"{ready} ready messages, and none that is held")

    def until_noted(self, event: str, times: int = 1, *, deadline: float = DEADLINE) -> None:
        until(lambda: self.ledger.count(event) >= times, f"{times} times {event!r} in the ledger", deadline=deadline)

    def redis(self) -> redis.Redis:
        """Return redis-py's own client, for looking at the server from outside."""
        assert self.broker_url is not None
        return redis.Redis.from_url(self.broker_url)

    def report(self) -> str:
        """Return the logs and the ledger, for a test that failed."""
        parts = [f"--- worker {number}\n{worker.log}" for number, worker in enumerate(self.workers, 1)]
        return "\n".join([*parts, f"--- ledger\n{self.ledger.path.read_text()[-3000:]}"])

    def leave(self) -> None:
        """End what runs still, and close the clients."""
        for worker in self.workers:
            worker.kill()
        for client in self._clients:
            client.close()
