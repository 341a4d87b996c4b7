"""The children of a result: handles on what the task sent."""

from __future__ import annotations

import pytest

from celeriac import Celeriac
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


def test_the_members_of_a_group_stand_for_it(app):
    group = [["g", None], [[["a", None], None], [["inner", None], [[["b", None], None]]]]]
    store(app, [group, [["c", None], None]])
    assert [child.id for child in app.AsyncResult("parent").children] == ["a", "b", "c"]
