"""A bench on each store that counts chords."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.canvas.bench", "tests.canvas.interpreter")

from tests.canvas.bench import Bench, memory_url  # noqa: E402  after their assertions are rewritten
from tests.conformance.cases.rabbitmq import server as rabbit  # noqa: E402
from tests.integration.conftest import redis_or_skip, shared_server  # noqa: E402
from tests.servers.certificates import ServerMissing  # noqa: E402

STORES = ("memory", "sqlite", "redis", "rabbitmq")
"""The last has its results in SQLite."""


def make_bench(store: str, folder, **settings) -> Bench:
    if store == "memory":
        return Bench(memory_url(), **settings)
    if store == "sqlite":
        return Bench(f"sqlite:///{folder}/bench.db", **settings)
    if store == "rabbitmq":
        try:
            url = rabbit().new_vhost(uuid.uuid4().hex)
        except ServerMissing as missing:
            if "rabbitmq" in os.environ.get("CELERIAC_REQUIRE", "").split(","):
                pytest.fail(f"CELERIAC_REQUIRE names rabbitmq: {missing}")
            pytest.skip(str(missing))
        return Bench(url, result_backend=f"sqlite:///{folder}/results.db", **settings)
    options = {"global_keyprefix": f"{uuid.uuid4().hex}:"}
    url = redis_or_skip(shared_server).url
    return Bench(url, broker_transport_options=options, **settings)


@pytest.fixture(scope="module", params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An engine of six threads, for all tests of a module."""
    made = make_bench(request.param, tmp_path_factory.mktemp("bench")).start()
    yield made
    made.stop()
