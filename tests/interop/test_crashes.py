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


@pytest.fixture
def fleet(own_fleet):
    return own_fleet(broker_transport_options=QUICK_SWEEPS)


def hold_tasks(fleet, library, key):
    """Start a worker, send it tasks that wait for the gate, and return both when it has taken all that it can hold.

    Not before: a stock worker that is killed between taking a message and noting it loses the message.
    """
    worker = fleet.start_worker(library, "-c", str(SLOTS)).wait_ready()
    sent = [fleet.client(library).send("project.hold", (key, str(number))) for number in range(TASKS)]
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
def test_what_a_stopped_worker_had_not_begun_is_run_by_one_of_the_other_kind(fleet, key, first, second):
    worker, sent = hold_tasks(fleet, first, key)
    other = fleet.start_worker(second, "-c", "2").wait_ready()
    worker.begin_stop()
    open_gate(fleet, key)
    worker.wait_stopped()
    assert [fleet.outcome(task_id)["value"] for task_id in sent] == [str(number) for number in range(TASKS)]
    assert sorted(fleet.written(f"{key}:done"), key=int) == [str(number) for number in range(TASKS)], other.log()
    until(lambda: fleet.ledger.hlen("unacked") == 0, why=fleet.logs)
