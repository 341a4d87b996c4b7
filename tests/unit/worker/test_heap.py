"""The heap that engines inherit has no places left in pools that they would have to copy."""

from __future__ import annotations

import gc
import itertools

import pytest

from celeriac.worker import heap


@pytest.fixture(autouse=True)
def thaw(monkeypatch):
    monkeypatch.setattr(heap, "_fillers", [])
    yield
    gc.unfreeze()


@pytest.mark.parametrize("size", heap._CLASSES)
def test_objects_of_a_size_are_allocated_until_they_follow_one_another(size):
    holes = [bytes(size - 33) if size > 32 else float(number) for number in range(2000)]
    del holes[::7]
    heap._fill(size)
    assert heap._RUN < len(heap._fillers) < heap._MOST
    last = [id(filler) for filler in heap._fillers[-heap._RUN :]]
    assert [after - before for before, after in itertools.pairwise(last)] == [size] * (heap._RUN - 1)


def test_what_is_there_is_out_of_the_collector_s_sight():
    heap.settle()
    assert gc.get_freeze_count() > 1000
    assert len(heap._fillers) >= heap._RUN * len(heap._CLASSES)
