"""Handles that are made, unpickled or restored without naming an application belong to the current one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from celeriac import Celeriac
from celeriac.app import ambient
from celeriac.result import AsyncResult, GroupResult, ResultBase, denied_join_result, result_from_tuple
from tests.unit.spine import Spine


@pytest.fixture
def app(spine: Spine) -> Iterator[Celeriac]:
    before = ambient._chosen.set(spine.app)
    spine.app.writer.write_state("a", "SUCCESS", 1)
    spine.app.writer.write_state("b", "SUCCESS", 2)
    yield spine.app
    ambient._chosen.reset(before)


def test_an_id_is_enough(app):
    assert AsyncResult("a").get() == 1
    assert AsyncResult("a", app=app).backend is app.results


def test_a_handle_equals_its_id(app):
    assert AsyncResult("a") == "a"
    assert AsyncResult("a") != "b"
    assert app.GroupResult("g") == "g"


def test_what_as_tuple_described_is_a_handle_again(app):
    group = app.GroupResult("g", [app.AsyncResult("a"), app.AsyncResult("b")], app.AsyncResult("p"))
    for again in (result_from_tuple(group.as_tuple()), result_from_tuple(group.as_tuple(), app=app)):
        assert again == group
        assert again.get() == [1, 2]
        assert again.parent.id == "p"
    assert result_from_tuple(group) is group
    assert result_from_tuple("a").get() == 1
    assert isinstance(group, ResultBase)
    assert isinstance(group.results[0], ResultBase)


def test_handles_can_be_pickled_and_copied(app):
    one = AsyncResult("a")
    one.parent = AsyncResult("b")
    group = app.GroupResult("g", [one])
    for again in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert (again.id, again.parent.id, again.get()) == ("a", "b", 1)
    for group_again in (pickle.loads(pickle.dumps(group)), copy.deepcopy(group)):
        assert group_again == group
        assert group_again.get() == [1]


def test_a_group_is_restored_by_its_class(app):
    app.GroupResult("g", [app.AsyncResult("a")]).save()
    restored = GroupResult.restore("g")
    assert restored is not None
    assert restored.get() == [1]
    assert GroupResult.restore("g", app=app) == restored
    assert GroupResult("g", [AsyncResult("a")], app=app).save() == restored
    restored.delete()
    assert GroupResult.restore("g") is None


def test_waiting_can_be_denied(app):
    with denied_join_result(), pytest.raises(RuntimeError, match="within a task"):
        AsyncResult("a").get()
