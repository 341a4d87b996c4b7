"""Several workers on one store, and who takes what."""

from __future__ import annotations

import socket

import pytest

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 15.0


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_share_a_queue_run_each_task_once(place: Place, workers: int) -> None:
    for number in range(workers):
        place.worker("-c", "1", "-n", f"w{number}@%h")
    results = place.send_many("mark_slowly", [(number,) for number in range(400)])
    for result in results:
        result.get(timeout=WAIT)
    assert sorted(map(int, place.ledger.subjects("done"))) == list(range(400))
    assert len(place.ledger.pids("done")) == workers, "a worker stood idle"


def test_long_tasks_are_spread_over_the_workers(place: Place) -> None:
    for number in range(3):
        place.worker("-c", "1", "-n", f"w{number}@%h")
    place.send_many("nap_until", [("release",)] * 3)
    place.until_noted("begin", 3)
    assert len(place.ledger.pids("begin")) == 3
    (place.directory / "release").touch()
    place.until_noted("end", 3)


def test_a_worker_takes_only_from_its_queues(place: Place) -> None:
    place.worker("-c", "1", "-Q", "one,two", "-n", "chosen")
    for queue in ("one", "two", "three"):
        place.send("mark", queue, queue=queue)
    place.until_noted("done", 2)
    place.until_idle("one")
    place.until_idle("two")
    assert sorted(place.ledger.subjects("done")) == ["one", "two"]
    assert place.stats("three").ready == 1


def test_a_worker_leaves_out_excluded_queues(place: Place) -> None:
    settings = ("--", "task_queues=one,two,three")
    place.worker("-c", "1", "-X", "two", *settings)
    for queue in ("two", "one", "three"):
        place.send("mark", queue, queue=queue)
    place.until_noted("done", 2)
    assert sorted(place.ledger.subjects("done")) == ["one", "three"]
    assert place.stats("two").ready == 1


def test_routes_lead_tasks_to_their_queues(place: Place) -> None:
    client = place.client(task_routes={"shop.mark": {"queue": "marks"}, "shop.a*": "sums"})
    client.send_task("shop.mark", ("by route",))
    client.send_task("shop.add", (1, 1))
    client.send_task("shop.say", ("no route",))
    until(lambda: [place.stats(q).ready for q in ("marks", "sums", "celery")] == [1, 1, 1], "one task in each queue")
    place.worker("-c", "1", "-Q", "marks")
    place.until_noted("done")
    assert place.stats("sums").ready == place.stats("celery").ready == 1


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("w1@%h", "w1@{host}"),
        ("w1", "w1@{host}"),
        ("@%h", "celery@{host}"),
        ("w1.%t@%h", "w1.{label}@{host}"),
        ("50%%@%h", "50%@{host}"),
        ("a@b.example", "a@b.example"),
    ],
)
def test_the_node_is_called_as_asked(sqlite_place: Place, given: str, name: str) -> None:
    host = socket.gethostname()
    worker = sqlite_place.worker("-P", "solo", "-n", given)
    expected = name.format(host=host, label=host.partition(".")[0])
    assert f"{expected} ready." in worker.log
    assert sqlite_place.send("whoami").get(timeout=WAIT)["hostname"] == expected


def test_the_default_name_is_celerys(sqlite_place: Place) -> None:
    assert f"celery@{socket.gethostname()} ready." in sqlite_place.worker("-P", "solo").log
