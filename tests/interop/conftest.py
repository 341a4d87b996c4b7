"""One fleet for most tests: a worker of each library on a queue of its own and on one that they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytest.register_assert_rewrite("tests.interop.fleet")

from tests.interop.fleet import (  # noqa: E402  after its assertions are rewritten
    LIBRARIES,
    OURS,
    STOCK,
    Client,
    Fleet,
    fleet_of_its_own,
    stock_python,
)
from tests.servers.redis import ServerMissing, program  # noqa: E402

SHARED = "shared"
"""The queue that workers of both kinds serve."""


@pytest.fixture(scope="session")
def stock_interpreter() -> str:
    """The Python with stock Celery. Without it a test is left out, or fails where it is required."""
    return stock_python() or _missing("CELERIAC_STOCK_PYTHON names no Python with stock Celery; `make test` makes one")


@pytest.fixture(scope="session")
def both_libraries(stock_interpreter: str) -> None:
    """Ask for stock Celery and for a redis-server."""
    try:
        program()
    except ServerMissing as missing:
        _missing(str(missing))


def _missing(what: str) -> NoReturn:
    if {"redis", "interop"} & set(os.environ.get("CELERIAC_REQUIRE", "").split(",")):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def fleet(both_libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two workers, each with two slots, on the queues ``celery``, ``celeriac`` and ``shared``."""
    with fleet_of_its_own(tmp_path_factory.mktemp("fleet")) as made:
        workers = [
            made.start_worker(library, "-Q", f"{library},{SHARED}", "-c", "2", "-n", f"{library}@interop")
            for library in LIBRARIES
        ]
        for library in LIBRARIES:
            made.client(library)
        for worker in workers:
            worker.wait_ready()
        yield made


class Direction:
    """A client of one library and the worker of the other; results are read by both."""

    def __init__(self, fleet: Fleet, sender: str, worker: str) -> None:
        self.fleet = fleet
        self.client: Client = fleet.client(sender)
        self.worker = worker

    def send(self, name: str, *args: Any, kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        return str(self.client.send(f"project.{name}", args, kwargs, **({"queue": self.worker} | options)))

    def call(self, name: str, *args: Any, kwargs: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Send a task and return its outcome."""
        return self.fleet.outcome(self.send(name, *args, kwargs=kwargs, **options))


@pytest.fixture(params=[(OURS, STOCK), (STOCK, OURS)], ids=["ours-to-stock", "stock-to-ours"])
def way(request: pytest.FixtureRequest, fleet: Fleet) -> Direction:
    """Both directions: our client with a stock worker, a stock client with our worker."""
    sender, worker = request.param
    return Direction(fleet, sender, worker)


@pytest.fixture
def own_fleet(both_libraries: None, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Give a function that makes a fleet with a Redis of its own, from settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(fleet_of_its_own(tmp_path, **settings))


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A name that no other test writes under."""
    return f"ledger:{request.node.nodeid}"
