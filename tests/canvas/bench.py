"""An application on a store, with something that works for it, and a note of every run by its label."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from celeriac import Celeriac
from celeriac.drivers.memory import store as memory
from celeriac.interfaces.groups import GroupStore
from celeriac.worker.chords import sequels_of
from celeriac.worker.completion import Completer
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan
from celeriac.worker.upkeep import UpkeepLoop
from tests.canvas.tasks import make_tasks
from tests.integration.worker.place import Place

DEADLINE = 20.0
_QUIET = 10
"""Looks in a row at a store that cannot tell what is held, after which all counts as done."""


class Bench:
    """What a test has in its hands; `EngineBench` and `NodeBench` say who works."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self.ran: list[str] = []

    @property
    def groups(self) -> GroupStore:
        groups = self.app.groups
        assert groups is not None
        return groups

    def runs(self, prefix: str) -> Counter[str]:
        """Return how often each label that begins with `prefix` was run."""
        return Counter(label for label in self.labels() if label.startswith(prefix))

    def labels(self) -> list[str]:
        """Return the labels of all runs."""
        return list(self.ran)

    def until(self, holds: Any, *, what: str = "the awaited state") -> None:
        assert self.comes(holds), f"{what} did not come within {DEADLINE} s"

    def comes(self, holds: Any) -> bool:
        """Tell whether it holds within the deadline."""
        end = time.monotonic() + DEADLINE
        while not holds():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def rest(self) -> None:
        """Wait until no message is left and none is being run."""
        self._quiet_looks = 0
        self.until(self._is_idle, what="the end of all work")

    def _is_idle(self) -> bool:
        """Look again where the store cannot tell what is held: a message may be on its way."""
        stats = self.app.broker.stats(["celery"])["celery"]
        if stats.leased is not None:
            return stats.ready + (stats.delayed or 0) + stats.leased == 0
        self._quiet_looks = 0 if stats.ready or self._is_busy() else self._quiet_looks + 1
        return self._quiet_looks > _QUIET

    def _is_busy(self) -> bool:
        """Tell whether somebody is seen to work."""
        return False


class EngineBench(Bench):
    """Engines in threads of this process: of six slots, of one that is the engine's own thread, or an event loop."""

    def __init__(self, url: str, *, engines: int = 1, pool: str = "threads", **settings: Any) -> None:
        super().__init__(Celeriac("bench", broker=url, set_as_current=False, **settings))
        self.tasks = make_tasks(self.app, self.ran.append, is_async=pool == "async")
        options = WorkerOptions(pool="threads" if pool == "async" else pool, concurrency=6, hostname="n@h")
        node = plan(options, self.app.conf, queues=("celery",))
        self.engines = [Engine(self.app, node, Holdings(), index=n) for n in range(1, engines + 1)]
        self._threads = [
            threading.Thread(target=engine.run, name=f"bench-{n}") for n, engine in enumerate(self.engines)
        ]
        chords = sequels_of(self.app)[1]
        self._stopped = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="bench-upkeep")
        self._upkeep = UpkeepLoop(self.app.broker, self.app.results, clock=self.app.clock, chords=chords)

    def start(self) -> EngineBench:
        self.app.broker.declare(self.app.router.select(None, ()))
        for thread in self._threads:
            thread.start()
        self._tending.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._tending.join(DEADLINE)
        for engine in self.engines:
            engine.stop(now=True)
        for thread in self._threads:
            thread.join(DEADLINE)
        self.app.close()
        if self.app.conf.broker_url.startswith("memory://"):
            memory.reset(self.app.conf.broker_url.removeprefix("memory://"))

    def _is_busy(self) -> bool:
        return any(
            engine._sync.busy or engine._coroutines.busy or engine._backlog or _is_completing(engine._completer)
            for engine in self.engines
        )

    def _tend(self) -> None:
        """Do what a node does for the store; it has a `WatchLoop` too, so that it need not look so often."""
        while not self._stopped.wait(0.02):
            self._upkeep.round()


class NodeBench(Bench):
    """A node as a user starts it, with engines in processes of their own."""

    def __init__(self, folder: Path, url: str, *, results: str | None, **transport: Any) -> None:
        self.place = Place(folder, broker_url=url, transport=transport, results=results)
        super().__init__(self.place.client())
        self.place.write("node_app", NODE_APP)
        self.tasks = make_tasks(self.app, self.ran.append)

    def start(self) -> NodeBench:
        self.app.broker.declare(self.app.router.select(None, ()))
        self.place.worker("-P", "prefork", "-c", "2", app="node_app")
        return self

    def stop(self) -> None:
        self.place.leave()

    def labels(self) -> list[str]:
        return self.place.ledger.subjects("ran")


NODE_APP = """
from functools import partial

from celeriac import Celeriac
from tests.canvas.tasks import make_tasks
from tests.integration.worker.ledger import note

app = Celeriac("node_app")
make_tasks(app, partial(note, "ran"))
"""


def _is_completing(completer: Completer) -> bool:
    return bool(completer.waiting or completer._under_way)


def memory_url() -> str:
    return f"memory://{uuid.uuid4().hex}"
