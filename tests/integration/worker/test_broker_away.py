"""A Redis server that comes late, goes, and comes back: the worker resumes by itself, and nothing is lost."""

from __future__ import annotations

import pytest

from celeriac.exceptions import TaskRevokedError
from tests.integration.worker.node import until
from tests.integration.worker.place import Place
from tests.servers.redis import RedisServer

WAIT = 15.0

pools = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])


@pytest.fixture
def server(own_redis_server: RedisServer) -> RedisServer:
    return own_redis_server


@pytest.fixture
def place(make_place, server: RedisServer) -> Place:
    return make_place(server.url)


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_started_before_its_broker_begins_when_that_is_up(
    place: Place, server: RedisServer, pool: str
) -> None:
    server.stop()
    worker = place.worker("-P", pool, "-c", "1", ready=False)
    until(lambda: "Cannot reach redis://" in worker.log, "a word about the broker")
    server.start()
    worker.wait_ready()
    assert place.send("add", 1, 2).get(timeout=WAIT) == 3


def test_a_worker_can_be_stopped_while_it_waits_for_its_broker(place: Place, server: RedisServer) -> None:
    server.stop()
    worker = place.worker("-c", "1", ready=False)
    until(lambda: "Cannot reach redis://" in worker.log, "a word about the broker")
    assert worker.terminate() == 0, worker.log


@pools
def test_an_idle_worker_resumes_after_a_restart_of_its_broker(place: Place, server: RedisServer, pool: str) -> None:
    worker = place.worker("-P", pool, "-c", "2")
    assert place.send("add", 1, 2).get(timeout=WAIT) == 3
    server.restart()
    results = place.send_many("add", [(number, 1) for number in range(20)])
    assert [result.get(timeout=WAIT) for result in results] == list(range(1, 21)), worker.log
    assert worker.terminate() == 0, worker.log


@pools
def test_a_restart_amid_the_work_loses_nothing(place: Place, server: RedisServer, pool: str) -> None:
    worker = place.worker("-P", pool, "-c", "2")
    results = place.send_many("mark_slowly", [(number,) for number in range(500)])
    place.until_noted("done", 100)
    server.kill()
    server.start()
    for result in results:
        result.get(timeout=WAIT)
    assert set(place.ledger.subjects("done")) == {str(number) for number in range(500)}
    place.until_idle()
    assert worker.terminate() == 0, worker.log


def test_what_ends_while_the_broker_is_away_is_stored_when_it_is_back(place: Place, server: RedisServer) -> None:
    place.worker("-c", "1")
    result = place.send("nap_until", "release")
    place.until_noted("begin")
    server.stop()
    (place.directory / "release").touch()
    place.until_noted("end")
    server.start()
    assert result.get(timeout=WAIT) == "release"
    place.until_idle()
    assert place.ledger.count("begin") == 1


def test_a_worker_can_be_stopped_while_its_broker_is_away(place: Place, server: RedisServer) -> None:
    worker = place.worker("-c", "2")
    server.stop()
    until(lambda: "Cannot receive from redis://" in worker.log, "a word about the broker")
    assert worker.terminate() == 0, worker.log


def test_a_frozen_broker_is_left_and_found_again(place: Place, server: RedisServer) -> None:
    """A connection that stays open and answers nothing counts as lost after a few seconds."""
    worker = place.worker("-c", "1")
    assert place.send("add", 1, 2).get(timeout=WAIT) == 3
    server.pause()
    until(lambda: "Cannot receive from redis://" in worker.log, "the end of the worker's patience")
    server.resume()
    assert place.send("add", 2, 2).get(timeout=WAIT) == 4


@pools
def test_a_task_that_runs_through_a_restart_is_ended_when_it_is_revoked_then(
    place: Place, server: RedisServer, pool: str
) -> None:
    worker = place.worker("-P", pool, "-c", "1", app="stage")
    result = place.app.send_task("stage.walk", (60, "it"))
    place.until_noted("begin")
    server.restart()
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=WAIT)
    assert place.ledger.count("begin") == 1
    assert worker.terminate() == 0, worker.log
