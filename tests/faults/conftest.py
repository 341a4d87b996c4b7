"""Places for trouble, the two lengths of each test, and the figures of a full run."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.figures import write_figures
from tests.faults.trouble import FaultPlace
from tests.integration.conftest import (
    QUICK_TO_TELL,
    node,
    own_redis_server,
    rabbitmq_vhost,
    redis_server,
)
from tests.servers.missing import or_skip
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import RabbitServer, VirtualHost
from tests.servers.redis import RedisServer

__all__ = ["node", "own_redis_server", "rabbitmq_vhost", "redis_server"]

QUEUE_TYPES = {"rabbitmq": "classic", "quorum": "quorum"}
"""Stores on RabbitMQ, with the type of their queues."""
LEASE = 1.0
"""Seconds after which what a killed worker held comes back."""
OUTAGE_LEASE = 6.0
"""Seconds: longer than the short outages."""
SHORT_TIMEOUT, FULL_TIMEOUT = 60, 900


class Scale(NamedTuple):
    """How long a test runs."""

    is_full: bool

    def of(self, short: int, full: int) -> int:
        """Return the number that this length wants."""
        return full if self.is_full else short


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that its length may take."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            is_full = item.get_closest_marker("full") is not None
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT if is_full else SHORT_TIMEOUT))


@pytest.fixture(params=[pytest.param(False, id="short"), pytest.param(True, id="full", marks=pytest.mark.full)])
def scale(request: pytest.FixtureRequest) -> Scale:
    return Scale(request.param)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that is new in each run; its seed is told with a failure, and ``FAULTS_SEED`` sets it."""
    seed = int(os.environ.get("FAULTS_SEED", time.time_ns() % 1_000_000))
    request.node.add_report_section("setup", "seed", f"FAULTS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Return a function that keeps figures of this test for the report of a full run."""

    def keep(**values: object) -> None:
        for name, value in values.items():
            record_property(name, round(value, 4) if isinstance(value, float) else value)

    return keep


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., FaultPlace]]:
    """Return a maker of places by the name of a store or a URL; it ends their workers and tells their logs."""
    places: list[FaultPlace] = []

    def make(store: str, *, more: Mapping[str, Any] = {}, **transport: Any) -> FaultPlace:
        url = {"sqlite": None}.get(store, store)
        more = dict(more)
        if store == "redis":
            url = request.getfixturevalue("redis_server").url
            transport["global_keyprefix"] = f"{uuid.uuid4().hex}:"
        elif store in QUEUE_TYPES:
            url = request.getfixturevalue("rabbitmq_vhost")
            vhost = url.rpartition("/")[2]
            if "visibility_timeout" in transport:  # here a delivery lives as long as its connection
                url += f"?heartbeat={transport.pop('visibility_timeout'):.0f}"
            more["results"] = f"sqlite:///{tmp_path / 'results.db'}"
            more["settings"] = queue_settings(QUEUE_TYPES[store])
            more["counts"] = partial(request.getfixturevalue("node").counts, vhost)
        place = FaultPlace(tmp_path, broker_url=url, transport=transport, **more)
        places.append(place)
        return place

    yield make
    for place in places:
        place.leave()
        request.node.add_report_section("teardown", "workers", place.report())


def queue_settings(queue_type: str) -> dict[str, str]:
    """Return the settings by which queues of RabbitMQ are of this type."""
    return {"task_default_queue_type": queue_type, "broker_native_delayed_delivery_queue_type": queue_type}


@pytest.fixture(params=["sqlite", "redis", "rabbitmq", pytest.param("quorum", marks=pytest.mark.full)])
def store(request: pytest.FixtureRequest) -> str:
    """The store that a test runs on: all of them in turn."""
    return str(request.param)


@pytest.fixture
def place(make_place: Callable[..., FaultPlace], store: str) -> FaultPlace:
    """A place on each store, with leases so short that a test can wait for their end."""
    return make_place(store, visibility_timeout=LEASE)


@pytest.fixture(params=["redis", "rabbitmq", pytest.param("quorum", marks=pytest.mark.full)])
def server_kind(request: pytest.FixtureRequest) -> str:
    """What serves a test that has its own server: all in turn."""
    return str(request.param)


@pytest.fixture
def server(server_kind: str) -> Iterator[ServerProcess]:
    """A server for this test alone, to be stopped, frozen and started at will; its data survives."""
    if server_kind == "redis":
        started: ServerProcess = or_skip(lambda: RedisServer(durable=True).start(), "redis")
    else:
        started = or_skip(lambda: RabbitServer(advanced=QUICK_TO_TELL).start(), "rabbitmq")
    yield started
    started.remove()


@pytest.fixture
def place_on(make_place: Callable[..., FaultPlace], server_kind: str, server: object) -> Callable[..., Any]:
    """Return a maker of places on this test's own server, by the URL at which it is reached.

    On RabbitMQ results go where they go by default: to the sender.
    """

    def make(url: str, *, results: str | None = None) -> FaultPlace:
        if server_kind == "redis":
            return make_place(url, visibility_timeout=OUTAGE_LEASE)
        assert isinstance(server, RabbitServer | VirtualHost)
        settings = queue_settings(QUEUE_TYPES[server_kind])
        return make_place(url, more={"settings": settings, "counts": server.counts, "results": results})

    return make


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the figures of the full tests where ``FAULTS_FIGURES`` says."""
    folder = os.environ.get("FAULTS_FIGURES")
    if folder:
        reports = [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])]
        for file in write_figures(Path(folder), [each for each in reports if each.user_properties]):
            terminalreporter.write_line(f"figures: {file}")
