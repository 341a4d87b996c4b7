"""A worker of one kind dies or stops with messages in its hands: the other kind takes them up, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.interop.fleet import OURS, STOCK, until

pytestmark = pytest.mark.interop

VISIBILITY = 1.5
"""Seconds after which a message of a dead holder is taken up: the lease of ours, the rule of stock workers."""

QUICK_SWEEPS = {
    "visibility_timeout": VISIBILITY,
    "unacked_restore_interval": 0.5,
    "unacked_restore_throttle": 1,
}
"""Stock workers look for such messages each 100 s unless told otherwise."""

TASKS = 12
SLOTS = 2
HELD = {STOCK: 8, OURS: SLOTS}
"""What a worker holds at last: a stock one four times its slots, ours no more than it runs."""


BY_TOPIC = {
    "task_default_queue": "orders",
    "task_default_exchange": "shop",
    "task_default_exchange_type": "topic",
    "task_default_routing_key": "order.#",
}
"""A queue behind an exchange, which whoever restores a message of stock Celery's must look up."""


@pytest.fixture(params=[{}, BY_TOPIC], ids=["by-queue", "by-topic"])
def fleet(own_fleet, request):
    return own_fleet(broker_transport_options=QUICK_SWEEPS, **request.param)


def hold_tasks(fleet, library, key):
    """Start a worker, send it tasks that wait for the gate, and return both when it has taken all that it can hold.

    Not before: a stock worker that is killed between taking a message and noting it loses the message.
    """
    worker = fleet.start_worker(library, "-c", str(SLOTS)).wait_ready()
    send = fleet.client(library).send
    sent = [send("project.hold", (key, str(number)), priority=number % 10) for number in range(TASKS)]
    until(lambda: len(fleet.written(f"{key}:begun")) == SLOTS, why=worker.log)
    until(lambda: fleet.ledger.hlen("unacked") == HELD[library], why=worker.log)
    return worker, sent


def open_gate(fleet, key):
    fleet.ledger.rpush(f"{key}:gate", *range(3 * TASKS))


@pytest.mark.parametrize(("first", "second"), [(STOCK, OURS), (OURS, STOCK)])
def test_what_a_killed_worker_held_is_run_by_one_of_the_other_kind(fleet, key, first, second):
    worker, sent = hold_tasks(fleet, first, key)
    worker.kill()
    open_gate(fleet, key)
    fleet.start_worker(second, "-c", "2").wait_ready()
    assert [fleet.outcome(task_id)["value"] for task_id in sent] == [str(number) for number in range(TASKS)]
    assert set(fleet.written(f"{key}:done")) == {str(number) for number in range(TASKS)}
    assert set(fleet.written(f"{key}:begun")[:SLOTS]) <= set(fleet.written(f"{key}:begun again"))
    until(lambda: fleet.ledger.hlen("unacked") == fleet.ledger.zcard("unacked_index") == 0, why=fleet.logs)


@pytest.mark.parametrize(("first", "second"), [(STOCK, OURS), (OURS, STOCK)])
def test_what_a_stopped_worker_had_not_begun_is_run_by_one_of_the_other_kind(own_fleet, key, first, second):
    fleet = own_fleet()  # under the visibility timeout that Celery has, an hour: only the stop itself can give back
    worker, sent = hold_tasks(fleet, first, key)
    fleet.start_worker(second, "-c", str(SLOTS)).wait_ready()
    worker.begin_stop()
    open_gate(fleet, key)
    worker.wait_stopped()
    assert [fleet.outcome(task_id)["value"] for task_id in sent] == [str(number) for number in range(TASKS)]
    assert sorted(fleet.written(f"{key}:done"), key=int) == [str(number) for number in range(TASKS)]
    until(lambda: fleet.ledger.hlen("unacked") == 0, why=fleet.logs)


def test_a_task_of_ours_that_outlasts_the_visibility_timeout_is_not_run_twice_by_a_stock_worker(fleet, key):
    fleet.start_worker(OURS, "-c", "1").wait_ready()
    task_id = fleet.client(STOCK).send("project.hold", (key, "long"))
    until(lambda: fleet.written(f"{key}:begun") == ["long"], why=fleet.logs)
    [(tag, first)] = fleet.ledger.zrange("unacked_index", 0, -1, withscores=True)
    fleet.start_worker(STOCK, "-c", "1").wait_ready()
    until(lambda: fleet.ledger.zscore("unacked_index", tag) > first + 2 * VISIBILITY, why=fleet.logs)
    fleet.ledger.rpush(f"{key}:gate", 1)
    assert fleet.outcome(task_id)["value"] == "long"
    assert (fleet.written(f"{key}:begun"), fleet.written(f"{key}:begun again")) == (["long"], [])
