"""A bench on each store that counts chords."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.canvas.bench", "tests.canvas.interpreter")

from tests.canvas.bench import Bench, memory_url  # noqa: E402  after their assertions are rewritten
from tests.integration.conftest import redis_or_skip, shared_server  # noqa: E402

STORES = ("memory", "sqlite", "redis")


def make_bench(store: str, folder, **settings) -> Bench:
    if store == "memory":
        return Bench(memory_url(), **settings)
    if store == "sqlite":
        return Bench(f"sqlite:///{folder}/bench.db", **settings)
    options = {"global_keyprefix": f"{uuid.uuid4().hex}:"}
    url = redis_or_skip(shared_server).url
    return Bench(url, broker_transport_options=options, **settings)


@pytest.fixture(scope="module", params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """An engine of six threads, for all tests of a module."""
    made = make_bench(request.param, tmp_path_factory.mktemp("bench")).start()
    yield made
    made.stop()
