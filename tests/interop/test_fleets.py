"""Fleets of both kinds: one queue for all, late workers, a fleet without any of ours, key prefixes, other formats."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.interop.conftest import SHARED
from tests.interop.fleet import LIBRARIES, OURS, STOCK, fleet_of_its_own, until

pytestmark = pytest.mark.interop

PREFIX = {"global_keyprefix": "shop:"}


def test_one_queue_serves_both_kinds_of_workers_and_clients_and_each_task_runs_once(fleet, key):
    ran: Counter[str] = Counter()
    sent: list[tuple[str, str]] = []

    def both_kinds_took_part():
        for library in LIBRARIES:
            for number in range(20):
                value = f"{library}-{len(sent)}-{number}"
                sent.append((fleet.client(library).send("project.note", (key, value), queue=SHARED), value))
        ran.update(fleet.outcome(task_id)["value"] for task_id, _ in sent[-40:])
        return set(ran) == set(LIBRARIES)

    until(both_kinds_took_part)
    assert sorted(fleet.written(key)) == sorted(value for _, value in sent)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_late_worker_takes_the_urgent_first_and_the_oldest_of_a_step_before_others(fleet, key, library):
    queue = f"ranked-{library}"
    for priority in (9, 7, 3, 5, 0, None):
        for client in LIBRARIES:
            value = f"{priority or 0} {client}"
            fleet.client(client).send("project.note", (key, value), queue=queue, priority=priority)
    worker = fleet.start_worker(library, "-Q", queue, "-P", "solo", worker_prefetch_multiplier=1)
    until(lambda: len(fleet.written(key)) == 12, why=worker.log)
    worker.stop()
    expected = [0, 0, 3, 5, 7, 9]  # 0 and none are one; 3 and 5 are one step and keep their order; so are 7 and 8
    assert fleet.written(key) == [f"{priority} {client}" for priority in expected for client in LIBRARIES]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_task_that_expired_while_no_worker_was_there_is_revoked(fleet, key, library):
    queue = f"empty-{library}"
    late = [fleet.client(client).send("project.note", (key, 1), queue=queue, expires=0.2) for client in LIBRARIES]
    too_late = time.time() + 0.2
    until(lambda: time.time() > too_late)
    worker = fleet.start_worker(library, "-Q", queue, "-P", "solo")
    for task_id in late:
        assert fleet.outcome(task_id)["state"] == "REVOKED"
    worker.stop()
    assert fleet.written(key) == []


@pytest.fixture(scope="module")
def stock_fleet(both_libraries, tmp_path_factory):
    """A fleet whose only worker is a stock one."""
    with fleet_of_its_own(tmp_path_factory.mktemp("stock"), result_compression="gzip") as made:
        made.start_worker(STOCK, "-c", "1").wait_ready()
        yield made


@pytest.mark.parametrize("wait", [0.0, 0.3, 1.0])
def test_our_delayed_task_is_run_by_a_fleet_without_a_worker_of_ours(stock_fleet, wait):
    sent = time.time()
    seen = stock_fleet.outcome(stock_fleet.client(OURS).send("project.describe", countdown=wait))
    assert seen["value"]["started"] >= sent + wait


def test_a_compressed_result_is_read(stock_fleet):
    task_id = stock_fleet.client(OURS).send("project.echo", ("long " * 500,))
    assert stock_fleet.outcome(task_id)["value"] == [["long " * 500], {}]
    assert stock_fleet.ledger.get(f"celery-task-meta-{task_id}").startswith(b"\x00celery-compressed\x00")


def test_a_whole_fleet_lives_under_a_key_prefix(own_fleet, key):
    fleet = own_fleet(
        broker_transport_options=PREFIX, result_backend_transport_options=PREFIX, task_default_queue="orders"
    )
    workers = [fleet.start_worker(library, "-Q", f"orders,{library}", "-c", "1") for library in LIBRARIES]
    for worker in workers:
        worker.wait_ready()
    for sender in LIBRARIES:
        for library in LIBRARIES:
            sent = fleet.client(sender).send("project.add", (1, 2), queue=library, countdown=0.1)
            assert fleet.outcome(sent)["value"] == 3
        assert fleet.outcome(fleet.client(sender).send("project.add", (2, 2)))["value"] == 4
    outside = [name for name in fleet.ledger.scan_iter() if not name.startswith(b"shop:")]
    assert outside == []


def test_results_may_be_pickled(own_fleet):
    fleet = own_fleet(result_serializer="pickle", task_serializer="pickle")
    workers = [fleet.start_worker(library, "-Q", library, "-c", "1") for library in LIBRARIES]
    for worker in workers:
        worker.wait_ready()
    for sender, library in ((OURS, STOCK), (STOCK, OURS)):
        client = fleet.client(sender)
        moment = datetime(2026, 1, 2, tzinfo=UTC)
        echoed = fleet.outcome(client.send("project.echo", ({1, 2}, moment), queue=library))
        assert echoed["value"] == [[{1, 2}, moment], {}]
        error = fleet.outcome(client.send("project.fail", ("own",), queue=library))["error"]
        assert error == {"name": "Broken", "is_real": True, "args": ["part", 7]}
        error = fleet.outcome(client.send("project.give_up", queue=library))["error"]
        assert (error["name"], error["is_real"]) == ("MaxRetriesExceededError", True)
