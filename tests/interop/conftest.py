"""One fleet for most tests: a worker of each library on a queue of its own and on one that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

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
from tests.servers.missing import or_skip, skip  # noqa: E402
from tests.servers.rabbitmq import RabbitServer  # noqa: E402
from tests.servers.redis import program  # noqa: E402

NOT_ON_RABBITMQ = {
    "test_a_late_worker_takes_the_urgent_first_and_the_oldest_of_a_step_before_others": "steps of priority are Redis's",
    "test_a_task_that_expired_while_no_worker_was_there_is_revoked": "RabbitMQ drops what stock clients let expire",
    "test_a_workflow_is_refused_and_its_caller_learns_why": "it looks at the dead letters in Redis",
}
"""Tests that hold for Redis alone, and why."""

BOTH = ("redis", "interop")
"""What ``CELERIAC_REQUIRE`` calls the parts that all these tests need."""
NO_STOCK = "CELERIAC_STOCK_PYTHON names no Python with stock Celery; `make test` makes one"

SHARED = "shared"
"""The queue that workers of both kinds serve."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what does not hold for RabbitMQ."""

    def is_left_out(item: pytest.Item) -> bool:
        spec = getattr(item, "callspec", None)
        on_rabbitmq = spec is not None and spec.params.get("fleet") == "rabbitmq"
        return on_rabbitmq and getattr(item, "originalname", "") in NOT_ON_RABBITMQ

    left_out = [item for item in items if is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def stock_interpreter() -> str:
    """The Python with stock Celery. Without it a test is left out, or fails where it is required."""
    return stock_python() or skip(NO_STOCK, *BOTH)


@pytest.fixture(scope="session")
def both_libraries(stock_interpreter: str) -> None:
    """Ask for stock Celery and for a redis-server."""
    or_skip(program, *BOTH)


@pytest.fixture(scope="session")
def rabbitmq(both_libraries: None) -> Iterator[RabbitServer]:
    """A RabbitMQ for the fleets that work on one."""
    with or_skip(RabbitServer, "rabbitmq") as node:
        yield node


@pytest.fixture(scope="session", params=["redis", "rabbitmq"])
def fleet(
    request: pytest.FixtureRequest, both_libraries: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Two workers, each with two slots, on the queues ``celery``, ``celeriac`` and ``shared``.

    They work on each broker in turn, and keep results in Redis.
    """
    settings = {}
    if request.param == "rabbitmq":
        settings["broker_url"] = request.getfixturevalue("rabbitmq").url
    with fleet_of_its_own(tmp_path_factory.mktemp("fleet"), **settings) as made:
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
