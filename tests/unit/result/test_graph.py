"""What followed from a task: walked through, collected, drawn."""

from __future__ import annotations

import io
from typing import Any

import pytest

from celeriac import Celeriac
from celeriac.exceptions import IncompleteStream, TimeoutError
from celeriac.result import AsyncResult, GroupResult
from celeriac.result.graph import beginning
from celeriac.wire.results import TaskResult

GROUP = [["g", None], [[["b", None], None], [["c", None], None]]]


@pytest.fixture
def app(request):
    with Celeriac(broker=f"memory://{request.node.name}", set_as_current=False) as made:
        yield made


def store(app: Celeriac, task_id: str, *children: Any, state: str = "SUCCESS", value: Any = None) -> None:
    """Store an end; children are ids, or tuples of groups."""
    told = [[[one, None], None] if isinstance(one, str) else one for one in children]
    result = value if state == "FAILURE" else value or task_id.upper()
    app.writer.store([app.writer.record(TaskResult(task_id, state, result, children=told))])


@pytest.fixture
def root(app):
    """A task that sent a task and a group; the task sent another."""
    store(app, "p", "a", GROUP)
    store(app, "a", "d")
    for leaf in "bcd":
        store(app, leaf)
    return app.AsyncResult("p")


def ids(pairs: Any) -> list[tuple[Any, str]]:
    return [(None if parent is None else parent.id, result.id) for parent, result in pairs]


# Order, values and sorting are those of Celery 5.7 with the same stored results.


def test_results_are_walked_breadth_first_with_who_sent_them(root):
    expected = [(None, "p"), ("p", "a"), ("p", "g"), ("a", "d"), ("g", "b"), ("g", "c")]
    assert ids(root.iterdeps()) == expected


def test_values_are_collected_and_a_group_has_a_list(root):
    found = [(result.id, value) for result, value in root.collect()]
    assert found == [("p", "P"), ("a", "A"), ("g", ["B", "C"]), ("d", "D"), ("b", "B"), ("c", "C")]


def test_the_values_of_leaves_are_those_of_results_without_children(root):
    assert [value for result, value in root.collect() if not result.children] == ["D", "B", "C"]


def test_the_leaf_is_the_last_in_breadth_first_order(root, app):
    assert root.get_leaf() == "C"
    assert app.AsyncResult("b").get_leaf() == "B"


def test_what_has_not_ended_is_yielded_and_then_an_error(app):
    store(app, "p", "away", "a")
    walk = app.AsyncResult("p").iterdeps()
    assert [next(walk)[1].id, next(walk)[1].id] == ["p", "away"]
    with pytest.raises(IncompleteStream, match=r"<AsyncResult: away> has not ended.*collect\(\)"):
        next(walk)


def test_intermediate_walks_go_on_without_it(app):
    store(app, "p", "away", "a")
    store(app, "a", "b")
    assert ids(app.AsyncResult("p").iterdeps(intermediate=True)) == [
        (None, "p"),
        ("p", "away"),
        ("p", "a"),
        ("a", "b"),
    ]


def test_collecting_waits_for_each_as_long_as_it_is_told(app):
    store(app, "p", "away")
    with pytest.raises(TimeoutError, match="No result of task away"):
        list(app.AsyncResult("p").collect(timeout=0))


def test_collecting_raises_the_error_of_a_task_or_yields_it(app):
    store(app, "p", "broken")
    store(app, "broken", state="FAILURE", value=KeyError("k"))
    with pytest.raises(KeyError):
        list(app.AsyncResult("p").collect())
    assert [repr(value) for _, value in app.AsyncResult("p").collect(propagate=False)] == ["'P'", "KeyError('k')"]


def test_a_walk_ends_where_tasks_name_one_another_as_children(app):
    store(app, "p", "a")
    store(app, "a", "p")
    graph = app.AsyncResult("p").graph
    assert [result.id for result in graph] == ["p", "a"]
    assert [result.id for result in graph.topsort()] == ["a", "p"]
    assert graph.drawing().arrows == [("n0", "n1"), ("n1", "n0")]


def test_a_thousand_children_are_read_in_one_trip(app, monkeypatch):
    children = [str(n) for n in range(1000)]
    store(app, "p", *children)
    for child in children:
        store(app, child)
    asked = []
    fetch = app.reader.backend.fetch
    monkeypatch.setattr(app.reader.backend, "fetch", lambda ids: asked.append(len(ids)) or fetch(ids))
    assert len(list(app.AsyncResult("p").iterdeps())) == 1001
    assert asked == [1, 1000]


def test_a_chain_of_thousands_is_drawn_and_sorted(app):
    for n in range(3000):
        store(app, str(n), *([str(n + 1)] if n < 2999 else []))
    graph = app.AsyncResult("0").graph
    assert [result.id for result in graph.topsort()][::2999] == ["2999", "0"]
    assert len(graph.drawing().arrows) == 2999


def test_the_graph_maps_results_to_what_followed(root):
    graph = root.graph
    assert {result.id: [one.id for one in after] for result, after in graph.items()} == {
        "p": ["a", "g"],
        "a": ["d"],
        "g": ["b", "c"],
        "d": [],
        "b": [],
        "c": [],
    }
    assert [result.id for result in graph.edges()] == ["p", "a", "g"]
    assert (len(graph), root in graph, graph[root][0].id) == (6, True, "a")


def test_the_graph_is_sorted_so_that_what_followed_comes_first(root):
    assert [result.id for result in root.graph.topsort()] == ["d", "a", "b", "c", "g", "p"]


def test_a_graph_of_what_has_not_ended_must_be_asked_for(app):
    store(app, "p", "away")
    with pytest.raises(IncompleteStream):
        _ = app.AsyncResult("p").graph
    assert str(app.AsyncResult("p").build_graph(intermediate=True)).splitlines() == ["p  SUCCESS", "  away  PENDING"]


def test_the_graph_is_written_for_graphviz_and_mermaid_and_people(root):
    graph = root.graph
    assert str(graph).splitlines() == [
        "p  SUCCESS",
        "  a  SUCCESS",
        "    d  SUCCESS",
        "  group of 2  g",
        "    b  SUCCESS",
        "    c  SUCCESS",
    ]
    assert {"    n0 -> n1;", "    n1 -> n2;", "    n0 -> n3;", "    n3 -> n5;"} <= set(graph.dot().splitlines())
    assert "    n3 --> n4" in graph.mermaid().splitlines()
    written = io.StringIO()
    graph.to_dot(written)
    assert written.getvalue() == graph.dot() + "\n"


def test_the_children_of_a_sender_are_what_began(app):
    first = app.AsyncResult("a")
    last = AsyncResult("c", app.reader, parent=AsyncResult("b", app.reader, parent=first))
    assert beginning(first) == beginning(last) == [first]


def test_the_body_of_a_chord_stands_beside_its_header(app):
    header = app.GroupResult("g", [app.AsyncResult("b")])
    body = AsyncResult("d", app.reader, parent=header)
    found = beginning(AsyncResult("e", app.reader, parent=body))
    assert [one.as_tuple() for one in found] == [header.as_tuple(), (("d", None), None)]
    assert body.parent is header


def test_ids_of_what_led_to_a_result_are_listed_the_nearest_first(app):
    header = GroupResult("g", [app.AsyncResult("b")], parent=app.AsyncResult("p"))
    body = app.reader.handle_on((("d", header.as_tuple()), None))
    assert body.as_list() == ["d", "g", "p"]
