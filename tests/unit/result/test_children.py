"""The children of a result: handles on what the task sent."""

from __future__ import annotations

import pytest

from celeriac import Celeriac
from celeriac.result import GroupResult
from celeriac.wire.results import TaskResult


@pytest.fixture
def app(request):
    with Celeriac(broker=f"memory://{request.node.name}", set_as_current=False) as made:
        yield made


def store(app, children):
    app.writer.store([app.writer.record(TaskResult("parent", "SUCCESS", 1, children=children))])


def test_a_result_without_an_end_has_none(app):
    assert app.AsyncResult("parent").children is None


def test_children_are_handles_in_the_order_in_which_they_were_sent(app):
    store(app, [[["a", None], None], [["b", ["parent", None]], None]])
    children = app.AsyncResult("parent").children
    assert [child.id for child in children] == ["a", "b"]
    assert children[0].state == "PENDING"


def test_a_group_is_one_child_with_its_shape(app):
    group = [["g", None], [[["a", None], None], [["inner", None], [[["b", None], None]]]]]
    store(app, [group, [["c", None], None]])
    of_group, single = app.AsyncResult("parent").children
    assert isinstance(of_group, GroupResult)
    assert (of_group.id, single.id) == ("g", "c")
    assert of_group.as_tuple() == app.GroupResult("g", of_group.results).as_tuple()
    assert [handle.id for handle in of_group.handles()] == ["a", "b"]
    assert of_group.save() is of_group
