"""One table of the stores that pass the suite, and the fixture that makes a case of each row."""

from __future__ import annotations

from pathlib import Path

import pytest

from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance import Case
from celeriac.testing.conformance.fixtures import *  # noqa: F403
from tests.conformance.cases import DriverCase, memory, rabbitmq, redis, sqlite
from tests.servers.missing import or_skip

DRIVERS = (
    DriverCase("memory", memory.make),
    DriverCase("sqlite", sqlite.make),
    DriverCase("redis", redis.make, service="redis"),
    DriverCase("rabbitmq", rabbitmq.make_classic, service="rabbitmq", leaves_out=rabbitmq.LEAVES_OUT),
    DriverCase("rabbitmq-quorum", rabbitmq.make_quorum, service="rabbitmq", leaves_out=rabbitmq.QUORUM_LEAVES_OUT),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what a store says that it cannot pass."""
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    driver = None if spec is None else spec.params.get("case")
    if not isinstance(driver, DriverCase):
        return False
    return item.path.stem in driver.leaves_out or getattr(item, "originalname", "") in driver.leaves_out


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def case(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Case:
    driver: DriverCase = request.param
    return or_skip(lambda: driver.make(tmp_path, clock), driver.service)
