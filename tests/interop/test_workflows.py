"""Workflows of stock clients at a worker of ours, which this version refuses: with a reason, and nobody hangs."""

from __future__ import annotations

import pytest

from tests.interop.fleet import OURS, STOCK, until

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("kind", ["chain", "link", "chord"])
def test_a_workflow_is_refused_and_its_caller_learns_why(fleet, kind):
    client = fleet.client(STOCK)
    dead = fleet.ledger.zcard(f"celeriac:dead:{OURS}")
    client.start_workflow(kind, OURS)
    error = client.end_of_workflow(kind)["error"]
    assert (error["name"], error["is_real"]) == ("InvalidTaskError", True)
    assert "part of a workflow" in error["args"][0]
    until(lambda: fleet.ledger.zcard(f"celeriac:dead:{OURS}") > dead)


def test_the_members_of_a_plain_group_run_as_the_tasks_they_are(fleet):
    client = fleet.client(STOCK)
    client.start_workflow("group", OURS)
    assert client.end_of_workflow("group") == {"value": [0, 2, 4]}
