"""Plain tasks between stock Celery and celeriac, each way: what is sent arrives, what comes back is read by both."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.interop.fleet import LIBRARIES, OURS, STOCK, until

pytestmark = pytest.mark.interop

RICH = [datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), date(2026, 1, 2), Decimal("1.50"), UUID(int=7), b"\x00\xff"]


def test_a_task_runs_with_its_arguments_and_both_sides_read_the_result(way):
    seen = way.call("echo", 1, "ä\x00☃", [None, 2.5], kwargs={"k": {"deep": True}})
    assert seen["value"] == [[1, "ä\x00☃", [None, 2.5]], {"k": {"deep": True}}]
    assert (seen["state"], seen["ready"], seen["successful"], seen["failed"]) == ("SUCCESS", True, True, False)
    assert (seen["traceback"], seen["children"]) == (None, [])
    assert abs(datetime.now(UTC) - seen["date_done"]) < timedelta(minutes=1)


def test_a_task_is_found_by_a_name_of_its_own(way):
    task_id = way.client.send("a name/of its own", queue=way.worker)
    assert way.fleet.outcome(task_id)["value"] == way.worker


def test_an_id_that_the_caller_chose_is_kept(way, key):
    assert way.call("describe", task_id=key)["value"]["id"] == key


def test_values_that_json_lacks_arrive_as_what_they_are(way):
    sent = [type(value).__name__ for value in RICH]
    assert way.call("kinds", *RICH)["value"] == sent
    assert way.call("echo", *RICH)["value"] == [RICH, {}]


@pytest.mark.parametrize("serializer", ["pickle", "yaml", "msgpack"])
def test_an_accepted_serializer_is_read(way, serializer):
    seen = way.call("echo", 1, "text", [2.5, None], kwargs={"k": {"deep": [1]}}, serializer=serializer)
    assert seen["value"] == [[1, "text", [2.5, None]], {"k": {"deep": [1]}}]


def test_pickle_keeps_what_json_cannot_hold(way):
    assert way.call("kinds", {1, 2}, (3, 4), 5j, serializer="pickle")["value"] == ["set", "tuple", "complex"]


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_a_compressed_message_is_read(way, compression):
    assert way.call("echo", "long " * 500, compression=compression)["value"] == [["long " * 500], {}]


@pytest.mark.parametrize("wait", [0.3, 1.2])
def test_a_countdown_is_kept_to_the_fraction_of_a_second(way, wait):
    sent = time.time()
    assert way.call("describe", countdown=wait)["value"]["started"] >= sent + wait


def test_an_eta_is_a_moment_in_any_time_zone(way):
    from zoneinfo import ZoneInfo

    eta = datetime.now(ZoneInfo("Asia/Kathmandu")) + timedelta(seconds=0.4)
    assert way.call("describe", eta=eta)["value"]["started"] >= eta.timestamp()


def test_an_expired_task_is_revoked_for_both_sides(way, key):
    seen = way.call("note", key, 1, expires=datetime.now(UTC) - timedelta(seconds=1))
    assert seen["error"] == {"name": "TaskRevokedError", "is_real": True, "args": ["expired"]}
    assert (seen["state"], seen["ready"]) == ("REVOKED", True)
    assert way.fleet.written(key) == []


def test_a_task_that_expires_later_runs(way):
    assert way.call("add", 2, 3, expires=60)["value"] == 5


def test_headers_of_the_caller_arrive(way):
    headers = {"tenant": "näh", "trace": {"id": 7, "flags": [True, None]}}
    seen = way.call("describe", headers=headers)["value"]["headers"]
    assert {name: seen[name] for name in headers} == headers


def test_time_limits_travel_with_the_message(way):
    assert way.call("describe", time_limit=30, soft_time_limit=20.5)["value"]["timelimit"] == [30, 20.5]


@pytest.mark.parametrize(
    ("limit", "error"), [("soft_time_limit", "SoftTimeLimitExceeded"), ("time_limit", "TimeLimitExceeded")]
)
def test_a_stock_worker_enforces_the_limits_that_we_send(fleet, limit, error):
    task_id = fleet.client(OURS).send("project.nap", (30,), queue=STOCK, **{limit: 0.3})
    for library in LIBRARIES:  # not as one: a stock worker stores the end by a hard limit twice
        seen = fleet.client(library).outcome(task_id)
        assert (seen["state"], seen["error"]["name"], seen["error"]["is_real"]) == ("FAILURE", error, True)


def test_a_task_that_ignores_its_result_stores_none(way, key):
    task_id = way.send("silent", key)
    until(lambda: way.fleet.written(key) == [way.worker], why=way.fleet.logs)
    assert way.call("add", 1, 1)["value"] == 2  # a wrong result had time to arrive
    assert [way.fleet.client(library).look(task_id)["state"] for library in (OURS, STOCK)] == ["PENDING", "PENDING"]


def test_a_caller_may_ask_that_a_result_is_ignored(way, key):
    task_id = way.send("note", key, 1, ignore_result=True)
    until(lambda: way.fleet.written(key) == ["1"], why=way.fleet.logs)
    assert way.call("add", 1, 1)["value"] == 2
    assert way.client.look(task_id)["state"] == "PENDING"


def test_a_caller_may_ask_for_the_result_of_a_task_that_ignores_its_own(way, key):
    seen = way.call("silent", key, ignore_result=False)
    assert seen["value"] == "kept only when the caller asks for it"


def test_what_a_task_sends_is_its_child(way):
    seen = way.call("spawn")
    assert seen["children"] == seen["value"]


def test_what_followed_from_a_task_is_collected_alike_by_both_libraries(way):
    task_id = way.send("branch", way.worker)
    found = [way.fleet.client(library).follow(task_id) for library in (OURS, STOCK)]
    assert found[0] == found[1]
    values = [value for _, value in found[0]["collected"]]
    assert values[:4] == [None, 3, [0, 2, 4], 9]
    assert 15 in values


def test_a_child_knows_its_parent_and_the_root(way):
    parent_id = way.send("pass_on", way.client.library)
    child = way.fleet.outcome(way.fleet.outcome(parent_id)["value"])["value"]
    assert child["library"] == way.client.library
    assert (child["parent_id"], child["root_id"]) == (parent_id, parent_id)


def test_both_sides_see_how_far_a_task_is(way, key):
    def seen_by_both(state):
        return all(way.fleet.client(library).look(task_id)["state"] == state for library in LIBRARIES)

    task_id = way.send("advance", key)
    until(lambda: seen_by_both("STARTED"), why=way.fleet.logs)
    started = [way.fleet.client(library).look(task_id) for library in LIBRARIES]
    assert started[0] == started[1]
    assert started[0]["info"]["hostname"] == f"{way.worker}@interop"
    way.fleet.ledger.rpush(f"{key}:gate", 1)
    until(lambda: seen_by_both("PROGRESS"), why=way.fleet.logs)
    assert [way.fleet.client(library).look(task_id)["info"] for library in LIBRARIES] == [{"percent": 30}] * 2
    way.fleet.ledger.rpush(f"{key}:gate", 1, 1)
    assert way.fleet.outcome(task_id)["state"] == "SUCCESS"


def test_a_message_of_protocol_1_is_run(fleet):
    client = fleet.start_client(STOCK, task_protocol=1)
    sent = time.time()
    later = client.send("project.describe", countdown=0.3, queue=OURS)
    task_id = client.send("project.echo", (1, RICH[0]), {"k": 2}, queue=OURS)
    assert fleet.outcome(task_id)["value"] == [[1, RICH[0]], {"k": 2}]
    assert fleet.outcome(later)["value"]["started"] >= sent + 0.3


def test_our_full_form_is_run_by_a_stock_worker(fleet):
    client = fleet.start_client(OURS, task_message_full=True)
    task_id = client.send("project.echo", (1,), {"k": RICH[0]}, queue=STOCK)
    assert fleet.outcome(task_id)["value"] == [[1], {"k": RICH[0]}]
