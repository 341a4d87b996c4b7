"""The heap that engines inherit has no places left in pools that they would have to copy."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest

from celeriac.worker import heap

# In a process of its own, whose heap is that of a program that has just been imported.
PROGRAM = """
import gc, json
import celeriac.cli.main
from celeriac.worker import heap
sizes = range(48, 129, 16)
kept = [float(number) for number in range(5000)] + [bytes(size - 33) for size in sizes for _ in range(5000)]
del kept[::7]
told = {}
for size in heap._CLASSES:
    before = len(heap._fillers)
    heap._fill(size)
    told[size] = [id(filler) for filler in heap._fillers[before:]]
heap.settle()
print(json.dumps([told, gc.get_freeze_count()]))
"""


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, list[int]], int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    places, frozen = json.loads(done.stdout)
    return places, frozen


@pytest.mark.parametrize("size", heap._CLASSES)
def test_objects_of_a_size_are_allocated_until_they_follow_one_another(told, size):
    places = told[0][str(size)]
    assert 700 < len(places) < heap._MOST, "every seventh of 5,000 had left its place, and more had before"
    last = places[-heap._RUN :]
    steps = [after - before for before, after in itertools.pairwise(last)]
    assert all(0 < step <= heap._NEAR * size for step in steps)


def test_what_is_there_is_out_of_the_collector_s_sight(told):
    assert told[1] > 1000
