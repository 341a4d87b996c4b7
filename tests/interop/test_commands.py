"""``call`` and ``result`` of each library against a worker of the other."""

from __future__ import annotations

import json

import pytest

from tests.interop.fleet import OURS, STOCK

pytestmark = pytest.mark.interop


def test_our_commands_use_a_stock_worker(fleet):
    called = fleet.run(OURS, "call", "project.add", "-a", "[4, 5]", "--queue", STOCK, "--wait", "--json")
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["result"] == 9
    failed = fleet.client(STOCK).send("project.fail", ("value",), queue=STOCK)
    shown = fleet.run(OURS, "result", failed, "--traceback")
    assert shown.returncode == 1
    assert "ValueError" in shown.stdout
    assert "raise make_failure(kind)" in shown.stdout


def test_stock_commands_use_our_worker(fleet):
    called = fleet.run(STOCK, "call", "project.add", "-a", "[4, 5]", "--queue", OURS)
    assert called.returncode == 0, called.stderr
    task_id = called.stdout.strip()
    assert fleet.outcome(task_id)["value"] == 9
    shown = fleet.run(STOCK, "result", task_id)
    assert (shown.returncode, shown.stdout.strip()) == (0, "9")
    failed = fleet.client(OURS).send("project.fail", ("value",), queue=OURS)
    assert fleet.outcome(failed)["state"] == "FAILURE"
    assert "raise make_failure(kind)" in fleet.run(STOCK, "result", "--traceback", failed).stdout
