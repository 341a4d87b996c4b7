"""Failures and retries between stock Celery and celeriac: the right class, its arguments, the traceback, the counts."""

from __future__ import annotations

import pytest

from tests.interop.conftest import SHARED
from tests.interop.fleet import LIBRARIES, OURS, STOCK, until

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [("value", "ValueError", ["bad", 3]), ("key", "KeyError", ["absent"]), ("own", "Broken", ["part", 7])],
)
def test_a_failure_arrives_as_its_class_with_its_arguments_and_traceback(way, kind, name, args):
    seen = way.call("fail", kind)
    assert seen["error"] == {"name": name, "is_real": True, "args": args}
    assert (seen["state"], seen["failed"], seen["successful"]) == ("FAILURE", True, False)
    assert "raise make_failure(kind)" in seen["traceback"]
    assert seen["traceback"].startswith("Traceback (most recent call last)")


def test_an_argument_that_cannot_be_written_arrives_as_its_repr(way):
    error = way.call("fail", "unwritable")["error"]
    assert (error["name"], error["is_real"]) == ("Broken", True)
    assert "object object at" in str(error["args"])


def test_a_task_that_nobody_registered_fails_for_its_caller(way):
    task_id = way.client.send_task("project.unknown", (1,), queue=way.worker)
    seen = way.fleet.outcome(task_id)
    assert seen["error"] == {"name": "NotRegistered", "is_real": True, "args": ["project.unknown"]}
    assert seen["state"] == "FAILURE"


def test_arguments_that_do_not_fit_fail_with_a_type_error(way):
    task_id = way.client.send_task("project.add", (1,), {"z": 1}, queue=way.worker)
    seen = way.fleet.outcome(task_id)
    assert (seen["state"], seen["error"]["name"]) == ("FAILURE", "TypeError")
    assert "add()" in seen["error"]["args"][0]


def test_a_task_that_gives_up_says_so(way):
    seen = way.call("give_up")
    assert (seen["error"]["name"], seen["error"]["is_real"], seen["state"]) == (
        "MaxRetriesExceededError",
        True,
        "FAILURE",
    )
    assert "project.give_up" in seen["error"]["args"][0]


def test_a_task_retried_by_policy_ends_well(way):
    assert way.call("try_thrice")["value"] == 2


@pytest.mark.parametrize("first", LIBRARIES)
def test_a_retry_by_one_kind_of_worker_is_run_by_the_other_and_counted(fleet, key, first):
    second = STOCK if first == OURS else OURS
    task_id = fleet.client(first).send("project.wander", (key, [second, first, second]), queue=first)
    assert fleet.outcome(task_id)["value"] == 3
    assert fleet.written(key) == [f"0 {first}", f"1 {second}", f"2 {first}", f"3 {second}"]


@pytest.mark.parametrize("first", LIBRARIES)
def test_a_task_that_both_kinds_retried_fails_with_its_last_error(fleet, first):
    second = STOCK if first == OURS else OURS
    task_id = fleet.client(second).send("project.fail_in_the_end", ([second, first],), queue=first)
    seen = fleet.outcome(task_id)
    assert seen["error"] == {"name": "ValueError", "is_real": True, "args": ["in the end"]}


def test_a_retry_keeps_what_the_caller_sent_with_the_task(fleet, key):
    task_id = fleet.client(STOCK).send("project.wander", (key, [SHARED] * 3), queue=SHARED, headers={"tenant": "t"})
    assert fleet.outcome(task_id)["value"] == 3
    assert [line.split()[0] for line in fleet.written(key)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_handlers_and_signals_come_in_the_same_order(fleet, key, ends):
    def told(library: str) -> list[str]:
        ledger = f"{key}:{library}"
        fleet.client(OURS).send("project.tell", (ledger, ends), queue=library)
        until(lambda: sum(line.endswith("task_postrun") for line in fleet.written(ledger)) == 2)
        return sorted(fleet.written(ledger), key=lambda line: line[0])  # the runs may overlap in different processes

    ours = told(OURS)
    assert ours == told(STOCK)
    end = (
        ["1 task_success", "1 after_return SUCCESS"] if ends == "well" else ["1 task_failure", "1 after_return FAILURE"]
    )
    assert ours[-3:-1] == end
