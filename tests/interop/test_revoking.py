"""Revoking in fleets of both kinds: who revokes, and whose worker has the task."""

from __future__ import annotations

import pytest

from tests.interop.fleet import LIBRARIES, OURS, STOCK, until

pytestmark = pytest.mark.interop

REVOKED = {"name": "TaskRevokedError", "is_real": True, "args": ["revoked"]}
TERMINATED = {"name": "TaskRevokedError", "is_real": True, "args": ["terminated"]}


@pytest.fixture(params=[(client, worker) for client in LIBRARIES for worker in LIBRARIES], ids="-to-".join)
def way(request):
    """The library of the client, and that of the worker."""
    return request.param


def hold_all_slots(fleet, key, worker):
    """Keep both slots of a worker busy until `release`."""
    ids = [fleet.client(STOCK).send("project.hold", (key, f"slot-{number}"), queue=worker) for number in range(2)]
    until(lambda: len(fleet.written(f"{key}:begun")) == 2, why=fleet.logs)
    return ids


def release(fleet, key):
    for _ in range(2):
        fleet.ledger.rpush(f"{key}:gate", "open")


def errors_of(fleet, task_id):
    """Return what each library's client reads.

    A stock worker stores REVOKED when it hears of it, and once more when the task's turn comes, or when it is ended.
    """
    outcomes = [fleet.client(library).outcome(task_id) for library in LIBRARIES]
    assert [outcome["state"] for outcome in outcomes] == ["REVOKED", "REVOKED"]
    return [outcome["error"] for outcome in outcomes]


def answers_of(answers):
    return {name: answer for each in answers for name, answer in each.items()}


def test_a_task_that_waits_is_revoked_whoever_says_so(fleet, key, way):
    client, worker = way
    held = hold_all_slots(fleet, key, worker)
    waiting = fleet.client(client).send("project.note", (f"{key}:ran", 1), queue=worker)
    answers = fleet.client(client).revoke(waiting, reply=True, timeout=5, limit=2)
    assert answers_of(answers).keys() == {f"{library}@interop" for library in LIBRARIES}
    release(fleet, key)
    assert errors_of(fleet, waiting) == [REVOKED, REVOKED]
    for task_id in held:
        fleet.outcome(task_id)
    assert fleet.written(f"{key}:ran") == []


def test_a_task_that_runs_is_ended_whoever_says_so(fleet, key, way):
    client, worker = way
    task_id = fleet.client(client).send("project.hold", (key, 1), queue=worker)
    until(lambda: fleet.written(f"{key}:begun") == ["1"], why=fleet.logs)
    fleet.client(client).revoke_result(task_id, terminate=True)
    # A stock worker that does not run it says "revoked", perhaps after the other has said "terminated".
    assert all(error in (TERMINATED, REVOKED) for error in errors_of(fleet, task_id))
    assert fleet.outcome(fleet.client(client).send("project.add", (1, 2), queue=worker))["value"] == 3
    assert fleet.written(f"{key}:done") == []


def test_a_stamp_is_revoked_whoever_says_so(fleet, key, way):
    client, worker = way
    held = hold_all_slots(fleet, key, worker)
    waiting = fleet.client(client).send_stamped("project.note", (f"{key}:ran", 1), {"order": key}, queue=worker)
    answers = fleet.client(client).revoke_stamped({"order": [key]}, reply=True, timeout=5, limit=2)
    assert len(answers) == 2
    release(fleet, key)
    assert errors_of(fleet, waiting) == [REVOKED, REVOKED]
    for task_id in held:
        fleet.outcome(task_id)
    assert fleet.written(f"{key}:ran") == []


@pytest.mark.parametrize("client", LIBRARIES)
def test_what_was_announced_is_known_to_workers_of_ours_that_start_later(fleet, key, client):
    """A stock client only announces it: the node of ours that hears it writes it down."""
    queue = f"later-{client}"
    waiting = fleet.client(client).send("project.note", (f"{key}:ran", 1), queue=queue)
    fleet.client(client).revoke(waiting, reply=True, timeout=5, limit=2)
    worker = fleet.start_worker(OURS, "-Q", queue, "-P", "solo", "-n", f"later-{client}@interop")
    assert errors_of(fleet, waiting) == [REVOKED, REVOKED]
    worker.wait_ready().stop()
    assert fleet.written(f"{key}:ran") == []


def test_the_command_of_stock_celery_reaches_our_workers(fleet, key):
    queue = "command"
    waiting = fleet.client(OURS).send("project.note", (f"{key}:ran", 1), queue=queue)
    done = fleet.run(STOCK, "control", "--timeout", "5", "--destination", f"{OURS}@interop", "revoke", waiting)
    assert done.returncode == 0, done.stderr
    assert f"{OURS}@interop: OK" in done.stdout
    fleet.run(STOCK, "control", "revoke", waiting)
    worker = fleet.start_worker(OURS, "-Q", queue, "-P", "solo", "-n", "command@interop")
    assert errors_of(fleet, waiting) == [REVOKED, REVOKED]
    worker.wait_ready().stop()
