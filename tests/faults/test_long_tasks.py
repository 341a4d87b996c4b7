"""RabbitMQ takes away what is not acknowledged within ``consumer_timeout``: what takes longer runs once, and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from celeriac.interfaces.broker import Terms
from tests.faults.conftest import QUEUE_TYPES, Scale, queue_settings
from tests.faults.trouble import FaultPlace
from tests.integration.conftest import QUICK_TO_TELL
from tests.servers.missing import or_skip
from tests.servers.rabbitmq import RabbitServer

WAIT = 30.0


@pytest.fixture(params=["rabbitmq", pytest.param("quorum", marks=pytest.mark.full)])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def limit(scale: Scale) -> int:
    """Seconds that the server waits for an acknowledgement."""
    return scale.of(5, 20)


@pytest.fixture
def strict_node(limit: int) -> Iterator[RabbitServer]:
    """A node with this limit, which looks each second whether it was passed."""
    looking = f"{QUICK_TO_TELL[:-2]},{{channel_tick_interval,1000}}]}}"
    config = {"consumer_timeout": str(1000 * limit)}
    server = or_skip(lambda: RabbitServer(config=config, advanced=looking).start(), "rabbitmq")
    yield server
    server.remove()


@pytest.fixture
def place(make_place, store: str, strict_node: RabbitServer, limit: int, tmp_path) -> FaultPlace:
    more = {
        "settings": queue_settings(QUEUE_TYPES[store]),
        "counts": partial(strict_node.counts, "/"),
        "results": f"sqlite:///{tmp_path / 'results.db'}",
    }
    return make_place(strict_node.url, more=more, consumer_timeout=limit)


def test_what_takes_longer_than_the_server_waits_runs_once(place: FaultPlace, limit: int, figures) -> None:
    """Tasks of 60 s where the limit is 20 s, one in each slot, while one without a task is merely held."""
    held = hold_one(place)
    seconds = 3 * limit
    workers = [place.node("-P", pool, "-c", "2") for pool in ("prefork", "threads")]
    subjects = [f"nap-{number}" for number in range(4)]
    began = time.monotonic()
    results = [place.send_task("nap", subject, seconds) for subject in subjects]
    for result in results:
        assert result.get(timeout=seconds + WAIT) is None
    time.sleep(max(0.0, began + 2 * limit - time.monotonic()))  # the one that is held was held for so long
    assert place.app.broker.ack([held.lease]) == []
    place.until_idle(deadline=WAIT)
    figures(tasks=4, lost=0, duplicated=len(place.ledger.repeated("begin")), task_s=seconds, limit_s=limit)
    assert sorted(place.ledger.subjects("begin")) == subjects
    assert sorted(place.ledger.subjects("end")) == subjects
    assert place.stats().dead == 0
    for worker in workers:
        assert worker.terminate() == 0, worker.log


def hold_one(place: FaultPlace):
    """Take a message and do nothing with it."""
    place.send_task("nap", "held", 0)
    terms = Terms(limit=1, lease=60.0, owner="test")
    (delivery,) = place.app.broker.receive(["celery"], terms, wait=5.0)
    return delivery
