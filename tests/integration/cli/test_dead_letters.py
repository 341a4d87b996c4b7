"""Dead letters on real stores: made by a worker, seen, given back, done by a worker that knows the task, removed."""

from __future__ import annotations

import json
import os
import signal
import uuid

import pytest

from tests.integration.cli.conftest import Shop

LATER = """

@celery.task(name="tasks.later")
def later(x):
    return x * 2
"""

DEADLY = """

@celery.task(name="tasks.deadly")
def deadly(path):
    import os
    if not os.path.exists(path):
        os._exit(1)
    return "alive"
"""


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """A user's directory whose tasks are in the file there, or on a server."""
    if request.param == "redis":
        options = json.dumps({"global_keyprefix": f"{uuid.uuid4().hex}:"})
        url = request.getfixturevalue("redis_server").url
        shop.environment |= {"CELERIAC_BROKER_URL": url, "CELERIAC_BROKER_TRANSPORT_OPTIONS": options}
    return shop


def add_task(shop: Shop, text: str) -> None:
    with (shop.directory / "tasks.py").open("a", encoding="utf-8") as file:
        file.write(text)


def dead(shop: Shop, *arguments: str) -> list[dict]:
    done = shop.type("-A", "tasks", "dead", "list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_task_that_nobody_knew_is_given_back_and_done(store: Shop) -> None:
    old = store.start_worker("-P", "solo")
    sent = [store.type("-A", "tasks", "call", "tasks.later", "-a", f"[{n}]").stdout.strip() for n in (1, 2)]
    store.until(lambda: store.log().count("is not registered") == 2)
    old.send_signal(signal.SIGTERM)
    assert old.wait(timeout=10) == 0
    newest, oldest = dead(store, "--reason", "not registered", "--task", "tasks.*")
    assert [oldest["task_id"], newest["task_id"]] == sent
    shown = store.type("-A", "tasks", "dead", "show", oldest["id"])
    for word in ("task tasks.later is not registered", sent[0], "[1]", "FAILURE: NotRegistered"):
        assert word in shown.stdout
    assert store.type("-A", "tasks", "result", sent[0], "--timeout", "0").stdout.startswith("FAILURE")

    given = store.type("-A", "tasks", "dead", "requeue", "--task", "tasks.later", "-f")
    assert (given.returncode, given.stdout) == (0, "2 given back\n")
    assert dead(store) == []
    assert "PENDING" in store.type("-A", "tasks", "result", sent[0], "--timeout", "0").stderr
    add_task(store, LATER)
    store.start_worker("-P", "solo", "-n", "new@%h")
    for task_id, value in zip(sent, ("2\n", "4\n"), strict=True):
        assert store.type("-A", "tasks", "result", task_id).stdout == value


def test_a_task_that_killed_its_workers_is_given_back_with_its_crashes_forgotten(store: Shop) -> None:
    add_task(store, DEADLY)
    path = store.directory / "medicine"
    store.start_worker("-c", "1")
    task_id = store.type("-A", "tasks", "call", "tasks.deadly", "-a", json.dumps([os.fspath(path)])).stdout.strip()
    store.until(lambda: len(dead(store)) == 1)
    (first,) = dead(store)
    assert first["redelivered"] is True
    assert first["reason"] == "its worker died 3 times while it ran"
    store.type("-A", "tasks", "dead", "requeue", first["id"])
    store.until(lambda: [letter["id"] for letter in dead(store)] not in ([], [first["id"]]))
    (second,) = dead(store)
    assert second["reason"] == "its worker died 3 times while it ran"
    path.touch()
    assert store.type("-A", "tasks", "dead", "requeue", second["id"]).returncode == 0
    assert store.type("-A", "tasks", "result", task_id).stdout == "alive\n"


def test_letters_are_purged_after_a_yes(store: Shop) -> None:
    worker = store.start_worker("-P", "solo")
    store.type("-A", "tasks", "call", "tasks.nobody_knows")
    store.until(lambda: len(dead(store)) == 1)
    worker.terminate()
    unanswered = store.type("-A", "tasks", "dead", "purge", "--all")
    assert (unanswered.returncode, len(dead(store))) == (1, 1)
    assert store.type("-A", "tasks", "dead", "purge", "--older-than", "1d", "-f").stdout == "0 removed\n"
    assert store.type("-A", "tasks", "dead", "purge", "--all", "-f").stdout == "1 removed\n"
    assert store.type("-A", "tasks", "dead", "purge", "1", "-f").returncode == 1
