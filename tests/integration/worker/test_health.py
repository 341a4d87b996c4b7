"""A worker knows whether it does its work, and says so to whoever asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place
from tests.servers.redis import RedisServer

WAIT = 15.0
OFTEN = 30.0
"""Seconds for a frozen server to be noticed: its clients' patience, the limit below, and a slow machine."""

pools = pytest.mark.parametrize("pool", ["prefork", pytest.param("solo", marks=pytest.mark.slow)])


@pytest.fixture
def server(own_redis_server: RedisServer) -> RedisServer:
    return own_redis_server


@pytest.fixture
def place(make_place, server: RedisServer) -> Place:
    return make_place(server.url)


def health(place: Place) -> tuple[int, str]:
    """Return the exit code of ``celeriac health``, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "celeriac", "health", "--file", "node.health"],
        cwd=place.directory,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def settings(**more: float) -> list[str]:
    given = {"worker_health_file": "node.health", "worker_health_limit": 7.0, **more}
    return ["--", *(f"{name}={value}" for name, value in given.items())]


@pools
@pytest.mark.timeout(90)
def test_a_frozen_broker_makes_it_failing_until_the_broker_goes_on(
    place: Place, server: RedisServer, pool: str
) -> None:
    worker = place.worker("-P", pool, "-c", "2", *settings())
    assert place.send("add", 1, 2).get(timeout=WAIT) == 3
    until(lambda: health(place)[0] == 0, "health")
    server.pause()
    until(lambda: health(place)[0] == 1, "failure", deadline=OFTEN)
    assert "no answer" in health(place)[1] or "upkeep" in health(place)[1]
    server.resume()
    until(lambda: health(place)[0] == 0, "health", deadline=OFTEN)
    assert place.send("add", 2, 2).get(timeout=WAIT) == 4
    assert worker.terminate() == 0, worker.log
    assert health(place)[0] == 69
    assert not (place.directory / "node.health").exists()


@pools
@pytest.mark.timeout(90)
def test_one_that_cannot_recover_ends_with_the_reason(place: Place, server: RedisServer, pool: str) -> None:
    worker = place.worker("-P", pool, "-c", "1", *settings(worker_health_exit_after=3.0))
    server.stop()
    until(lambda: not worker.is_running, "the worker's end", deadline=OFTEN)
    assert worker.wait() == 1, worker.log
    assert "CRITICAL" in worker.log
    assert "has been failing for" in worker.log


@pytest.mark.timeout(90)
def test_one_that_never_reaches_its_broker_ends_with_the_reason(place: Place, server: RedisServer) -> None:
    server.stop()
    limits = settings(worker_health_limit=1.0, worker_health_exit_after=1.0)
    worker = place.worker("-c", "1", *limits, ready=False)
    until(lambda: not worker.is_running, "the worker's end", deadline=OFTEN)
    assert worker.wait() == 1, worker.log
    assert "the broker has not been reached" in worker.log
