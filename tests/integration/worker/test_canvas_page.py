"""What docs/canvas.md shows, typed in."""

from __future__ import annotations

import re
import textwrap
from typing import Final

import pytest

from tests.integration.worker.place import ROOT, Place

PAGE: Final = (ROOT / "docs" / "canvas.md").read_text(encoding="utf-8")
MODULE, *LATER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HEAD: Final = """
from celeriac import chain, chord, group
from shop import add, app, total
result = (add.s(1, 1) | group(add.s(2), add.s(3)) | total.s())()
result.get(timeout=20)
"""


@pytest.fixture
def place(sqlite_place: Place) -> Place:
    sqlite_place.write("shop", MODULE)
    sqlite_place.worker("-c", "2")
    return sqlite_place


def block(words: str) -> str:
    (found,) = [each for each in LATER if words in each]
    return str(found)


def test_each_example_has_the_value_that_is_written_beside_it(place):
    imports, _, lines = block("from shop import").partition("\n\n")
    examples = [line.partition("  # ") for line in lines.splitlines()]
    printed = place.run(f"{imports}\n" + "".join(f"print({code})\n" for code, _, _ in examples)).splitlines()
    assert printed == ["15", "15", str(list(range(0, 19, 2))), "90", "90"]
    said = [comment for _, _, comment in examples]
    assert [said[0][:3], said[2][:15], said[3][:3]] == ["15:", "[0, 2, ..., 18]", "90:"]


def test_a_workflow_is_drawn(place):
    printed = place.run(f"{HEAD}{block('draw(')}result.get(timeout=20)\nprint(result.tree())")
    assert "chord of 2" in printed
    assert "flowchart" in printed
    assert printed.count("SUCCESS") >= 4


def test_what_followed_from_a_task_is_collected(place):
    lines = textwrap.dedent(block("collect(")).splitlines()
    values, rest = lines[0].partition("  #")[0], "\n".join(lines[1:])
    first = "result = app.AsyncResult(result.as_list()[-1])\n"
    printed = place.run(f"{HEAD}{first}print({values})\n{rest}").splitlines()
    assert printed[0] == "[9, 4, 5]"  # the body stands beside the header, whose members are below it
    assert printed[1].startswith("digraph")
