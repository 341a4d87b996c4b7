"""What tests of engines and of the supervisor share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.interfaces.broker import Lease
from celeriac.testing.conformance.samples import receive, send
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan
from tests.unit.spine import NODE, Spine
from tests.unit.worker.supervising import Node

DEADLINE = 10.0


@pytest.fixture
def node(spine) -> Iterator[Callable[[int], Node]]:
    """Return what starts a node of so many engines."""
    made: list[Node] = []

    def make(engines: int = 1) -> Node:
        made.append(Node(spine.app, engines=engines))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def leases(spine) -> list[Lease]:
    send(spine.app.broker, *range(4))
    return [delivery.lease for delivery in receive(spine.app.broker)]


@pytest.fixture
def work(spine: Spine) -> Callable[[], Holdings]:
    """Return what sends the task ``last``, and runs an engine until that has run; it returns the engine's ledger."""
    engines: list[Engine] = []

    @spine.app.task(name="last")
    def last() -> None:
        engines[0].stop()

    def run() -> Holdings:
        last.delay()
        holdings = Holdings()
        node = plan(WorkerOptions(pool="solo", hostname=NODE), spine.app.conf, queues=("celery",))

        def engine() -> None:
            engines.append(Engine(spine.app, node, holdings, index=1))
            engines[0].run()

        with ThreadPoolExecutor(1) as pool:  # in the main thread it would take SIGALRM for itself
            pool.submit(engine).result(DEADLINE)
        return holdings

    return run
