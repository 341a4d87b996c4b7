"""Places for workers: on SQLite, and on Redis with a key prefix of their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.place import Place

LEASE = 1.0
"""Seconds after which what a killed worker held comes back."""


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Return a maker of places; it ends their workers and tells their logs when the test failed."""
    places: list[Place] = []

    def make(store: str, **transport: Any) -> Place:
        url = results = counts = None
        if store == "rabbitmq":
            url = request.getfixturevalue("rabbitmq_vhost")
            counts = partial(request.getfixturevalue("node").counts, url.rpartition("/")[2])
            if "visibility_timeout" in transport:  # here a delivery lives as long as its connection
                url += f"?heartbeat={max(1.0, transport.pop('visibility_timeout')):.0f}"
            results = f"sqlite:///{tmp_path / 'results.db'}"
        elif store == "redis":
            url = request.getfixturevalue("redis_server").url
            transport["global_keyprefix"] = f"{uuid.uuid4().hex}:"
        elif store != "sqlite":
            url = store
        place = Place(tmp_path, broker_url=url, transport=transport, results=results, counts=counts)
        places.append(place)
        return place

    yield make
    for place in places:
        place.leave()
        request.node.add_report_section("teardown", "workers", place.report())


@pytest.fixture(params=["sqlite", "redis", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> str:
    """The store that a test runs on: all of them in turn."""
    return str(request.param)


@pytest.fixture
def place(make_place: Callable[..., Place], store: str) -> Place:
    """A place on each store."""
    return make_place(store)


@pytest.fixture
def short_place(make_place: Callable[..., Place], store: str) -> Place:
    """A place on each store, with leases so short that a test can wait for their end."""
    return make_place(store, visibility_timeout=LEASE)


@pytest.fixture
def sqlite_place(make_place: Callable[..., Place]) -> Place:
    """A place on SQLite, for what does not depend on the store."""
    return make_place("sqlite")
