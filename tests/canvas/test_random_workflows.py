"""Random workflows come to what the interpreter says, on every store and in every pool."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.canvas.bench import Bench
from tests.canvas.ends import end_of, listed
from tests.canvas.interpreter import Chain, Chord, Ended, Group, Task, World, build, evaluate
from tests.canvas.trees import labelled, workflows

OK = Task("?")
FAIL = Task("?", kind="fail", errback="?")


EXAMPLES = (
    Task("?", link="?"),
    Chain((Group((OK, OK)), OK, Group((OK, OK)))),
    Chord(Group((Chain((OK, Group((OK, OK)))), OK)), OK),
    Chord(Group((Chord(Group((OK, FAIL)), OK), OK)), Chain((OK, OK))),
    Chain((OK, Chord(Group(()), OK), OK)),
    Chain((Group((OK, OK)), Chain((Group(()),)))),
    Chain((OK, Chain((Group(()),)), Chain((Group(()), OK)))),
    Chain((Group((OK, FAIL)), Group(()))),
    Chain((OK, Chord(Group((OK, OK)), Chain((OK, Group((OK, FAIL)), Group(())))))),
    Chain((Chain((Group(()),)), Group((OK, OK)))),
    Chain((Group((OK, OK)), Group((Group((OK,)),)))),
    Chain((Group((OK, OK)), Group((Group((Chain((OK, OK)),)),)))),
    Group((Chain((OK, Group((OK, Chain((OK, Group((OK, OK)))))))), OK)),
    Chord(Group((Task("?", kind="replace", by=Group((OK,))), OK)), OK),
    Chain((OK, Chain((Group((OK, OK)), Group((OK, OK)))))),
    Chain((Group((Task("?", kind="fail"), OK)), Group((OK, Task("?", errback="?"))), Chord(Group((OK, OK)), OK))),
)
"""Those that once came to something else."""


@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows())
def test_a_workflow_comes_to_what_it_must(any_bench, tree):
    comes_to_what_it_must(any_bench, tree)


@pytest.mark.parametrize("tree", EXAMPLES, ids=range(len(EXAMPLES)))
def test_what_once_went_wrong_comes_to_what_it_must(any_bench, tree):
    comes_to_what_it_must(any_bench, tree)


@pytest.mark.slow  # each run tries other workflows, and finds what no change of the day has caused
@pytest.mark.timeout(180)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows())
def test_many_other_workflows_come_to_what_they_must(any_bench, tree):
    comes_to_what_it_must(any_bench, tree)


def comes_to_what_it_must(bench: Bench, tree: Any) -> None:
    prefix = f"{uuid.uuid4().hex[:8]}-"
    tree = labelled(tree, prefix)
    world = World()
    expected = evaluate(tree, (), world)
    result = build(tree, bench).apply_async()
    assert end_of(bench, result) == Ended(listed(expected.value), expected.error)
    bench.comes(lambda: bench.runs(prefix) == world.runs)  # a callback may end after the result
    bench.rest()
    assert bench.runs(prefix) == world.runs
