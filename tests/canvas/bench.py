"""An application on a store, with engines in threads of this process, and tasks that write down what they do."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from typing import Any

from celeriac import Celeriac, group
from celeriac.drivers.memory import store as memory
from celeriac.exceptions import Ignore, Reject
from celeriac.interfaces.groups import GroupStore
from celeriac.worker.chords import sequels_of
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan
from celeriac.worker.upkeep import UpkeepLoop

DEADLINE = 20.0


class Broken(Exception):
    """What tasks fail with."""


class Bench:
    """One application, its engines, and a note of every run by its label."""

    def __init__(self, url: str, *, engines: int = 1, pool: str = "threads", **settings: Any) -> None:
        self.app = Celeriac("bench", broker=url, set_as_current=False, **settings)
        self.ran: list[str] = []
        self._make_tasks()
        node = plan(WorkerOptions(pool=pool, concurrency=6, hostname="n@h"), self.app.conf, queues=("celery",))
        self.engines = [Engine(self.app, node, Holdings(), index=n) for n in range(1, engines + 1)]
        self._threads = [
            threading.Thread(target=engine.run, name=f"bench-{n}") for n, engine in enumerate(self.engines)
        ]
        chords = sequels_of(self.app)[1]
        self._stopped = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="bench-upkeep")
        self._upkeep = UpkeepLoop(self.app.broker, self.app.results, clock=self.app.clock, chords=chords)

    def start(self) -> Bench:
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

    @property
    def groups(self) -> GroupStore:
        groups = self.app.groups
        assert groups is not None
        return groups

    def runs(self, prefix: str) -> Counter[str]:
        """Return how often each label that begins with `prefix` was run."""
        return Counter(label for label in list(self.ran) if label.startswith(prefix))

    def until(self, holds: Any, *, what: str = "the awaited state") -> None:
        end = time.monotonic() + DEADLINE
        while not holds():
            assert time.monotonic() < end, f"{what} did not come within {DEADLINE} s"
            time.sleep(0.005)

    def rest(self) -> None:
        """Wait until no message is left and none is being run."""
        self._idle_looks = 0
        self.until(self._is_idle, what="the end of all work")

    def _is_idle(self) -> bool:
        """Look again where the store cannot tell what is held: a message may be on its way."""
        stats = self.app.broker.stats(["celery"])["celery"]
        if stats.leased is not None:
            return stats.ready + (stats.delayed or 0) + stats.leased == 0
        is_busy = any(engine._sync.busy or engine._backlog or engine._completer.waiting for engine in self.engines)
        self._idle_looks = 0 if is_busy or stats.ready else self._idle_looks + 1
        return self._idle_looks > 10

    def _tend(self) -> None:
        """Do what a node does for the store; it has a `WatchLoop` too, so that it need not look so often."""
        while not self._stopped.wait(0.02):
            self._upkeep.round()

    def _make_tasks(self) -> None:
        app, ran = self.app, self.ran

        @app.task(name="step")
        def step(*values: Any, label: str) -> str:
            ran.append(label)
            return f"{label}({','.join(map(_short, values))})"

        @app.task(name="fail")
        def fail(*_values: Any, label: str) -> None:
            ran.append(label)
            raise Broken(label)

        @app.task(name="flaky", bind=True, max_retries=5)
        def flaky(self: Any, *values: Any, label: str, times: int) -> str:
            ran.append(f"{label}#{self.request.retries}")
            if self.request.retries < times:
                raise self.retry(countdown=0)
            return f"{label}({','.join(map(_short, values))})"

        @app.task(name="replace", bind=True)
        def replace(self: Any, *values: Any, label: str, by: dict[str, Any]) -> Any:
            ran.append(label)
            sig = app.signature(by)
            return self.replace(sig.clone(values) if sig.kind is None else _with_values(sig, values))

        @app.task(name="give_up")
        def give_up(how: str) -> None:
            raise Ignore if how == "ignore" else Reject("no", requeue=False)

        @app.task(name="grow", bind=True)
        def grow(self: Any) -> str:
            self.add_to_chord(step.s(label="added"))
            return "grown"

        @app.task(name="square")
        def square(n: int) -> int:
            return n**2

        @app.task(name="forward")
        def forward(n: int) -> None:
            square.delay(n)

        @app.task(name="fan_out")
        def fan_out(width: int) -> None:
            group(forward.s(n) for n in range(width)).apply_async()

        self.give_up, self.grow, self.fan_out = give_up, grow, fan_out
        self.step, self.fail, self.flaky, self.replace = step, fail, flaky, replace


def _with_values(sig: Any, values: tuple[Any, ...]) -> Any:
    """Return a chain or group with arguments for what starts it."""
    sig["args"] = tuple(values)
    return sig


def _short(value: Any) -> str:
    return "[" + ",".join(map(_short, value)) + "]" if isinstance(value, list | tuple) else str(value)


def memory_url() -> str:
    return f"memory://{uuid.uuid4().hex}"
