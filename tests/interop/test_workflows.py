"""The same workflows on stock Celery and on ours, by clients and workers of each, alone and mixed: one outcome."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.conftest import SHARED
from tests.interop.fleet import BOTH, OURS, STOCK, until

pytestmark = pytest.mark.interop

KINDS = [
    line.strip(' ",')
    for block in [(BOTH / "canvases.py").read_text("utf-8").partition("KINDS = [")[2].partition("]")[0]]
    for line in block.replace('", "', '",\n"').splitlines()
    if line.strip(' ",')
]
SHAPED_OTHERWISE = {
    "a group in a header",
    "three levels",
    "a group becomes a chord",
    "a chain as a body",
    "a failure in a header in a chain",
}
"""Where the results in between are not the same: here a group in a header ends in one task, its value the same; and a
chain that is a body has all its parents, where stock Celery goes from its last task to the header."""
FAILING_HEADERS = {
    "a failure in a header",
    "a failure in a chain in a header",
    "a failure in a header in a chain",
    "an errback of a chord",
}
"""Where a client raises the error of the member or the `ChordError` of the body, whichever it sees first: of 150 runs a
stock client on stock workers alone raised the latter once."""
_outcomes: dict[str, dict[str, Any]] = {}


@pytest.fixture
def run(fleet, key):
    """Run a workflow by a client of one library on a queue; return its outcome and what its tasks wrote down."""

    def do(library: str, kind: str, queue: str, *, notes: int | None = None) -> dict[str, Any]:
        own = f"{key}:{library}:{queue}"
        told = fleet.client(library).run_canvas(kind, queue, own)
        if notes is not None:
            until(lambda: len(fleet.written(own)) >= notes)
        if kind in SHAPED_OTHERWISE:
            del told["states"]
        if kind in FAILING_HEADERS:
            assert told["error"] in ("ChordError", "ValueError", "KeyError")
            told["error"] = "of a member or the body"
        return {**told, "notes": sorted(fleet.written(own))}

    return do


@pytest.fixture
def stock(run):
    """Return what stock Celery alone makes of a workflow."""

    def do(kind: str) -> dict[str, Any]:
        if kind not in _outcomes:
            _outcomes[kind] = run(STOCK, kind, STOCK, notes=NOTES.get(kind, 0))
        return _outcomes[kind]

    return do


NOTES = {
    "links": 1,
    "links of a chain": 1,
    "links of a chord": 1,
    "an old errback": 1,
    "a new errback": 1,
    "an errback of a chord": 1,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("client", "queue"),
    [(OURS, OURS), (OURS, STOCK), (STOCK, OURS), (OURS, SHARED), (STOCK, SHARED)],
    ids=["ours-ours", "ours-stock", "stock-ours", "ours-mixed", "stock-mixed"],
)
def test_a_workflow_ends_as_on_stock_celery(run, stock, client, queue, kind):
    assert run(client, kind, queue, notes=NOTES.get(kind, 0)) == stock(kind)
