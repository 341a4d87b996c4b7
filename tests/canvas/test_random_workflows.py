"""Random workflows come to what the interpreter says, on every store."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.canvas.bench import DEADLINE, Bench
from tests.canvas.interpreter import Chain, Chord, Ended, Group, Task, World, build, evaluate
from tests.canvas.trees import is_empty, is_sound, labelled, trees

OK = Task("?")
FAIL = Task("?", kind="fail", errback="?")


def end_of(bench: Bench, result: Any) -> Ended:
    """Wait for a result; return its value, or the error that the store has."""
    try:
        return Ended(_listed(result.get(timeout=DEADLINE)))
    except TimeoutError:
        raise
    except Exception:
        return Ended(error=_stored_error(bench, result))


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _stored_error(bench: Bench, result: Any) -> str | None:
    members = getattr(result, "results", None)
    if members is not None:
        return next((found for one in members if (found := _stored_error(bench, one))), None)
    bench.until(result.ready)
    stored = bench.app.AsyncResult(result.id)
    return None if stored.successful() else type(stored.result).__name__


@pytest.mark.slow  # in `make test-all`: each run tries other workflows, and finds what no change of the day has caused
@pytest.mark.timeout(60)  # some 70 workflows, each to its rest
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.deferred(lambda: trees(3)).filter(lambda tree: not is_empty(tree) and is_sound(tree)))
@example(Chain((Group((OK, OK)), OK, Group((OK, OK)))))
@example(Chord(Group((Chain((OK, Group((OK, OK)))), OK)), OK))
@example(Chord(Group((Chord(Group((OK, FAIL)), OK), OK)), Chain((OK, OK))))
@example(Chain((OK, Chord(Group(()), OK), OK)))
@example(Chain((Group((OK, OK)), Chain((Group(()),)))))
@example(Chain((OK, Chain((Group(()),)), Chain((Group(()), OK)))))
@example(Chain((Chain((Group(()),)), Group((OK, OK)))))
@example(Chain((Group((OK, OK)), Group((Group((OK,)),)))))
@example(Chain((Group((OK, OK)), Group((Group((Chain((OK, OK)),)),)))))
@example(Group((Chain((OK, Group((OK, Chain((OK, Group((OK, OK)))))))), OK)))
@example(Chord(Group((Task("?", kind="replace", by=Group((OK,))), OK)), OK))
def test_a_workflow_comes_to_what_it_must(bench, tree):
    prefix = f"{uuid.uuid4().hex[:8]}-"
    tree = labelled(tree, prefix)
    world = World()
    expected = evaluate(tree, (), world)
    result = build(tree, bench).apply_async()
    assert end_of(bench, result) == Ended(_listed(expected.value), expected.error)
    bench.rest()
    assert bench.runs(prefix) == world.runs
