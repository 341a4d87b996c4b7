"""A bench on each store that counts chords."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.canvas.bench", "tests.canvas.ends", "tests.canvas.interpreter")

from tests.canvas.bench import Bench, EngineBench, NodeBench, memory_url  # noqa: E402  after their rewrite
from tests.conformance.cases.rabbitmq import server as rabbit  # noqa: E402
from tests.integration.conftest import shared_server  # noqa: E402
from tests.servers.missing import or_skip  # noqa: E402

STORES = ("memory", "sqlite", "redis", "rabbitmq")
"""The last has its results in Redis."""
POOLS = ("threads", "solo", "async", "prefork")
"""Besides those of the command line, coroutines on an engine's event loop."""


def make_bench(store: str, folder: Any, **settings: Any) -> EngineBench:
    if store == "memory":
        return EngineBench(memory_url(), **settings)
    if store == "sqlite":
        return EngineBench(f"sqlite:///{folder}/bench.db", **settings)
    options = {"global_keyprefix": f"{uuid.uuid4().hex}:"}
    url = or_skip(shared_server, "redis").url
    if store == "redis":
        return EngineBench(url, broker_transport_options=options, **settings)
    return EngineBench(rabbit_vhost(), result_backend=url, result_backend_transport_options=options, **settings)


def make_node_bench(store: str, folder: Path) -> NodeBench:
    """Return a bench on a store that processes can share."""
    if store == "sqlite":
        return NodeBench(folder, f"sqlite:///{folder}/celeriac.db", results=None)
    url = or_skip(shared_server, "redis").url
    if store == "redis":
        return NodeBench(folder, url, results=None, global_keyprefix=f"{uuid.uuid4().hex}:")
    return NodeBench(folder, rabbit_vhost(), results=url)


def rabbit_vhost() -> str:
    return or_skip(rabbit, "rabbitmq").new_vhost(uuid.uuid4().hex)


@pytest.fixture(scope="module", params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An engine of six threads, for all tests of a module."""
    made = make_bench(request.param, tmp_path_factory.mktemp("bench")).start()
    yield made
    made.stop()


@pytest.fixture(
    scope="module",
    params=[(store, pool) for store in STORES for pool in POOLS if (store, pool) != ("memory", "prefork")],
    ids="-".join,
)
def any_bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Each store with each pool that can use it."""
    (store, pool), folder = request.param, tmp_path_factory.mktemp("bench")
    made = make_node_bench(store, folder) if pool == "prefork" else make_bench(store, folder, pool=pool)
    made.start()
    yield made
    made.stop()
