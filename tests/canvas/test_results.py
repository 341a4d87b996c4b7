"""Results of workflows: parents, children, groups that are saved, and what was sent."""

from __future__ import annotations

import json
from queue import Queue

import pytest

from celeriac import Signature, chain, chord, group, signature
from celeriac.canvas import draw
from celeriac.exceptions import ImproperlyConfigured
from celeriac.result import AsyncResult, GroupResult
from tests.canvas.bench import DEADLINE


def test_a_group_is_saved_and_restored_with_its_shape(bench):
    sig = group(
        bench.tasks.step.s(label="a"),
        chain(bench.tasks.step.s(label="b"), group(bench.tasks.step.s(label=n) for n in "cd")),
    )
    result = sig.apply_async()
    value = result.get(DEADLINE)
    assert value == ["a()", ["c(b())", "d(b())"]]
    result.save()
    again = bench.app.GroupResult.restore(result.id)
    assert again.get(DEADLINE) == value
    assert again.as_tuple() == result.as_tuple()
    result.delete()
    assert bench.app.GroupResult.restore(result.id) is None


def test_parents_lead_back_to_what_began_it(bench):
    result = (
        bench.tasks.step.s(label="a") | group(bench.tasks.step.s(label=n) for n in "bc") | bench.tasks.step.s(label="d")
    ).delay()
    assert result.get(DEADLINE) == "d([b(a()),c(a())])"
    assert isinstance(result.parent, GroupResult)
    assert result.parent.get() == ["b(a())", "c(a())"]
    assert result.parent.parent.get() == "a()"
    assert result.parent.parent.parent is None


def test_what_follows_is_among_the_children(bench):
    result = chain(bench.tasks.step.s(label="a"), bench.tasks.step.s(label="b")).apply_async()
    result.get(DEADLINE)
    first = bench.app.AsyncResult(result.parent.id)
    bench.until(first.ready)
    assert [child.id for child in first.children] == [result.id]


def test_what_followed_is_collected_and_drawn(bench):
    result = bench.tasks.fan_out.delay(4)
    collected = list(result.collect(timeout=DEADLINE))
    assert [value for one, value in collected if not one.children] == [0, 1, 4, 9]
    assert [type(one) for one, _ in collected[:2]] == [AsyncResult, GroupResult]
    graph = result.graph
    assert [len(after) for after in graph.adjacent.values()] == [1, 4, 1, 1, 1, 1, 0, 0, 0, 0]
    assert graph.mermaid().count(" --> ") == graph.dot().count(" -> ") == 9


def test_a_chain_is_followed_from_its_first_task_to_its_last(bench):
    s = lambda n: bench.tasks.step.s(label=n)
    result = chain(s("a"), group(s("b"), s("c")), s("d"), s("e")).apply_async()
    first = result.as_list()[-1]
    assert result.get(DEADLINE) == bench.app.AsyncResult(first).get_leaf()
    assert [value for _, value in bench.app.AsyncResult(first).collect()] == [
        "a()",
        ["b(a())", "c(a())"],
        "d([b(a()),c(a())])",
        "b(a())",
        "c(a())",
        "e(d([b(a()),c(a())]))",
    ]


def test_workflows_call_back_when_they_have_ended(bench):
    calls: Queue[object] = Queue()
    group(
        bench.tasks.step.s(label="a"), bench.tasks.step.s(label="b") | bench.tasks.step.s(label="c")
    ).apply_async().then(calls.put)
    chord([bench.tasks.fail.s(label="d")], bench.tasks.step.s(label="e")).apply_async().then(calls.put)
    ended = [calls.get(timeout=DEADLINE) for _ in range(2)]
    assert sorted(str(one.get(propagate=False)) for one in ended)[1] == "['a()', 'c(b())']"
    assert {type(one) for one in ended} == {GroupResult, AsyncResult}


def test_ids_that_were_frozen_are_those_that_run(bench):
    sig = chain(
        bench.tasks.step.s(label="a"), group(bench.tasks.step.s(label=n) for n in "bc"), bench.tasks.step.s(label="d")
    )
    frozen = sig.freeze()
    result = sig.apply_async()
    assert result.id == frozen.id
    assert [one.id for one in result.parent.results] == [one.id for one in frozen.parent.results]
    assert frozen.get(DEADLINE) == "d([b(a()),c(a())])"


def test_signatures_survive_json(bench):
    sig = chord(
        [bench.tasks.step.s(1, label="a"), chain(bench.tasks.step.s(2, label="b"), bench.tasks.step.s(label="c"))],
        bench.tasks.step.s(label="d"),
    )
    sig.link(bench.tasks.step.si(label="e"))
    again = signature(json.loads(json.dumps(sig)), app=bench.app)
    assert isinstance(again, chord)
    assert again.apply_async().get(DEADLINE) == "d([a(1),c(b(2))])"


def test_a_signature_can_be_sent_again_and_stays_as_it_was(bench):
    sig = chain(bench.tasks.step.s(1, label="a"), bench.tasks.step.s(label="b"))
    before = json.dumps(sig)
    assert {sig.apply_async().get(DEADLINE) for _ in range(2)} == {"b(a(1))"}
    assert json.dumps(sig) == before


def test_partial_arguments_come_first_and_options_of_the_call_win(bench):
    sig = bench.tasks.step.s(2, label="a").set(priority=3)
    clone = sig.clone((1,), {"label": "b"}, priority=5)
    assert (tuple(clone.args), clone.kwargs, clone.options) == ((1, 2), {"label": "b"}, {"priority": 5})
    assert sig.options == {"priority": 3}
    assert clone.apply_async((0,)).get(DEADLINE) == "b(0,1,2)"
    assert bench.tasks.step.si(2, label="c").apply_async((0,)).get(DEADLINE) == "c(2)"
    assert ~bench.tasks.step.s(label="d") == "d()"


def test_map_starmap_and_chunks(bench):
    @bench.app.task(name="here")
    def here(x: int, y: int = 0) -> int:
        return x + y

    assert here.starmap([(1, 2), (3, 4)]).apply().get() == [3, 7]
    assert here.map([1, 2]).apply().get() == [1, 2]
    assert here.chunks([(1, 2), (3, 4), (5, 6)], 2).group().apply().get() == [[3, 7], [11]]


def test_workflows_run_here_as_they_do_in_workers(bench):
    sig = (
        bench.tasks.step.s(label="a") | group(bench.tasks.step.s(label=n) for n in "bc") | bench.tasks.step.s(label="d")
    )
    result = sig.apply()
    assert result.get() == "d([b(a()),c(a())])"
    assert result.parent.get() == ["b(a())", "c(a())"]


def test_upgrades_are_those_of_celery(bench):
    s = lambda n: bench.tasks.step.s(label=n)
    assert isinstance(group(s("a"), s("b")) | s("c"), chord)
    assert isinstance((s("a") | group(s("b"), s("c")) | s("d")).tasks[-1], chord)
    assert len((s("a") | (s("b") | s("c")) | s("d")).tasks) == 4
    assert isinstance(chord([s("a")], s("b")) | s("c"), chord)
    assert [one.task for one in (s("a") | group(s("b"))).tasks] == ["step", "step"]
    assert (s("a") | group()).task == "step"


def test_what_is_no_signature_is_refused(bench):
    with pytest.raises(TypeError, match="is no signature"):
        group([1, 2]).apply_async()
    with pytest.raises(ValueError, match="needs a body"):
        chord([bench.tasks.step.s(label="a")]).apply_async()
    with pytest.raises(TypeError, match="group takes no link"):
        group(bench.tasks.step.s(label="a")).apply_async(link=bench.tasks.step.s(label="b"))
    with pytest.raises(ImproperlyConfigured, match="outside a run"):
        bench.tasks.step.replace(bench.tasks.step.s(label="a"))
    assert isinstance(Signature.from_dict({"task": "x", "args": [], "kwargs": {}, "options": {}}), Signature)


def test_stamps_travel_with_all_that_follows(bench):
    sig = chain(bench.tasks.step.s(label="a"), group(bench.tasks.step.s(label="b"), bench.tasks.step.s(label="c")))
    sig.stamp(customer="x")
    assert [leaf.options["customer"] for leaf in (sig.tasks[0], *sig.tasks[1].tasks)] == ["x"] * 3
    call = bench.app.workflows.call_of(json.loads(json.dumps(sig.tasks[0])))
    assert call.options["stamped_headers"] == ["customer"]
    assert sig.apply_async().get(DEADLINE) == ["b(a())", "c(a())"]


def test_a_workflow_is_drawn_before_it_is_sent(bench):
    s = lambda n: bench.tasks.step.s(label=n)
    drawing = draw(s("a") | group(s("b"), s("c")) | s("d").on_error(bench.tasks.step.si(label="e")))
    assert str(drawing).splitlines() == [
        "step(label='a')",
        "chord of 2",
        "  step(label='b')",
        "  step(label='c')",
        "step(label='d')",
        "  on error: step(label='e')",
    ]
    assert drawing.arrows == [("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3"), ("n3", "n4")]
    assert drawing.mermaid().splitlines()[:2] == ["flowchart TD", "    n0[\"step(label='a')\"]"]
    assert "    n1 -> n3;" in drawing.dot().splitlines()


def test_a_workflow_that_was_sent_is_drawn_with_its_states(bench):
    result = chord(
        [bench.tasks.step.s(label="a"), bench.tasks.fail.s(label="b")], bench.tasks.step.s(label="c")
    ).apply_async()
    bench.until(lambda: bench.app.AsyncResult(result.id).ready())
    assert [box.state for box in result.tree().boxes] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert str(result.tree()).splitlines() == [
        f"group of 2  {result.parent.id}",
        f"  step  {result.parent[0].id}  SUCCESS",
        f"  fail  {result.parent[1].id}  FAILURE",
        f"step  {result.id}  FAILURE",
    ]
    assert "fill:#f4c7c3" in result.tree().mermaid()
    assert str(result.parent.tree()) in str(result.tree())
