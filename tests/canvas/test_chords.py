"""The ways in which a chord can go wrong: each ends, once, and says why."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from celeriac import chain, chord, group
from celeriac.exceptions import ChordError, ImproperlyConfigured
from tests.canvas.bench import DEADLINE, Bench
from tests.canvas.conftest import make_bench
from tests.canvas.tasks import Broken


@pytest.fixture
def label():
    """Give labels that no other test has."""
    prefix = uuid.uuid4().hex[:8]
    return lambda name: f"{prefix}-{name}"


def stored(bench: Bench, result: Any) -> Any:
    """Return what the store has of a result when it has ended."""
    handle = bench.app.AsyncResult(result.id)
    bench.until(handle.ready)
    return handle.result


@pytest.mark.parametrize("member", range(3))
@pytest.mark.parametrize("step", range(3))
def test_a_failure_at_any_place_of_any_chain_in_the_header_ends_it(bench, label, member, step):
    chains = []
    for m in range(3):
        steps = [bench.tasks.step.s(label=label(f"{m}{s}")) for s in range(3)]
        if m == member:
            steps[step] = bench.tasks.fail.s(label=label("fail"))
        chains.append(chain(steps))
    result = chord(chains, bench.tasks.step.s(label=label("body"))).apply_async()
    error = stored(bench, result)
    assert isinstance(error, ChordError)
    assert result.parent[member].id in str(error)
    bench.rest()
    assert label("body") not in bench.runs(label(""))


def test_all_members_run_whatever_becomes_of_the_others(bench, label):
    members = [bench.tasks.fail.s(label=label("0")), *(bench.tasks.step.s(label=label(str(n))) for n in range(1, 5))]
    stored(bench, chord(members, bench.tasks.step.s(label=label("body"))).apply_async())
    bench.rest()
    assert bench.runs(label("")) == {label(str(n)): 1 for n in range(5)}


def test_an_empty_header_runs_the_body_with_nothing(bench, label):
    assert chord([], bench.tasks.step.s(label=label("b"))).apply_async().get(DEADLINE) == f"{label('b')}([])"
    assert chord(iter(()), bench.tasks.step.s(label=label("c")))().get(DEADLINE) == f"{label('c')}([])"


def test_a_frozen_signature_that_stands_several_times_counts_as_often(bench, label):
    frozen = bench.tasks.step.s(label=label("m"))
    frozen.freeze()
    members = [frozen, frozen, bench.tasks.step.s(label=label("other")), frozen]
    result = chord(members, bench.tasks.step.s(label=label("b"))).apply_async()
    same = f"{label('m')}()"
    assert result.get(DEADLINE) == f"{label('b')}([{same},{same},{label('other')}(),{same}])"
    assert bench.runs(label("")) == {label("m"): 3, label("other"): 1, label("b"): 1}


def test_the_get_of_a_broken_chord_raises_what_the_member_raised(bench, label):
    result = chord([bench.tasks.fail.s(label=label("m"))], bench.tasks.step.s(label=label("b"))).apply_async()
    with pytest.raises(Broken):
        result.get(DEADLINE)


def test_a_member_that_came_too_late_ends_the_chord(bench, label):
    late = bench.tasks.step.s(label=label("late")).set(expires=-1)
    result = chord([late, bench.tasks.step.s(label=label("m"))], bench.tasks.step.s(label=label("b"))).apply_async()
    assert "TaskRevokedError('expired')" in str(stored(bench, result))


def test_a_member_that_nobody_knows_ends_the_chord(bench, label):
    unknown = bench.app.signature("nobody.knows.it")
    result = chord([unknown, bench.tasks.step.s(label=label("m"))], bench.tasks.step.s(label=label("b"))).apply_async()
    assert "NotRegistered" in str(stored(bench, result))


@pytest.mark.parametrize("how", ["ignore", "reject"])
def test_a_member_that_gives_itself_up_ends_the_chord(bench, label, how):
    result = chord([bench.tasks.give_up.s(how)], bench.tasks.step.s(label=label("b"))).apply_async()
    assert isinstance(stored(bench, result), ChordError)


def test_the_error_callback_of_a_body_is_called_once(bench, label):
    body = bench.tasks.step.s(label=label("body")).on_error(bench.tasks.step.si(label=label("errback")))
    stored(
        bench, chord([bench.tasks.fail.s(label=label("m")), bench.tasks.fail.s(label=label("n"))], body).apply_async()
    )
    bench.rest()
    assert bench.runs(label("errback")) == {label("errback"): 1}


def test_an_error_callback_on_a_header_that_holds_a_chord_is_called_for_that_chord_and_for_the_body(bench, label):
    inner = chord([bench.tasks.fail.s(label=label("m"))], bench.tasks.step.s(label=label("inner")))
    outer = chord([inner], bench.tasks.step.s(label=label("outer")))
    outer.link_error(bench.tasks.step.si(label=label("errback")))
    stored(bench, outer.apply_async())
    bench.rest()
    assert bench.runs(label("errback")) == {label("errback"): 2}


def test_a_replacement_in_a_header_keeps_the_links_and_the_place(bench, label):
    by = group(bench.tasks.step.s(label=label(str(n))) for n in range(2))
    member = bench.tasks.replace.s(label=label("r"), by=by)
    member.link(bench.tasks.step.si(label=label("link")))
    body = bench.tasks.step.s(label=label("b"))
    value = chord([member, bench.tasks.step.s(label=label("m"))], body).apply_async().get(DEADLINE)
    assert value == f"{label('b')}([[{label('0')}(),{label('1')}()],{label('m')}()])"
    bench.rest()
    assert bench.runs(label("link")) == {label("link"): 1}


def test_a_chord_that_takes_too_long_fails_and_names_the_member_that_is_missing(bench, label):
    nowhere = bench.tasks.step.s(label=label("m")).set(queue="nobody-serves-it")
    members = [bench.tasks.step.s(label=label("0")), nowhere, bench.tasks.step.s(label=label("2"))]
    result = chord(members, bench.tasks.step.s(label=label("b"))).apply_async(workflow_deadline=0.5)
    error = stored(bench, result)
    assert isinstance(error, ChordError)
    assert f"member 1 ({result.parent[1].id}) is missing" in str(error)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("shape", ["task", "chain", "chord", "group", "chain with a group"])
def test_what_is_to_be_done_at_the_end_is_done_once(bench, label, shape, fails):
    first = bench.tasks.fail.s(label=label("x")) if fails else bench.tasks.step.s(label=label("x"))
    others = [bench.tasks.step.s(label=label(name)) for name in "abc"]
    sig = {
        "task": first,
        "chain": chain(others[0], first, *others[1:]),
        "chord": chord([first, others[0]], chain(others[1:])),
        "group": group(first, *others),
        "chain with a group": chain(others[0], group(first, *others[1:])),
    }[shape]
    result = sig.apply_async(on_end=bench.tasks.step.si(label=label("end")))
    result.get(DEADLINE, propagate=False)
    bench.until(lambda: bench.runs(label("end")))
    bench.rest()
    assert bench.runs(label("end")) == {label("end"): 1}


def test_after_the_deadline_of_a_workflow_nothing_of_it_begins(bench, label):
    sig = chain(bench.tasks.step.s(label=label("a")).set(countdown=1.0), bench.tasks.step.s(label=label("b")))
    result = sig.apply_async(workflow_deadline=0.3)
    bench.until(result.ready)
    assert result.state == "REVOKED"
    bench.rest()
    assert bench.runs(label("")) == {}


def test_members_of_a_large_generator_come_in_order_and_it_is_used_once(bench, label):
    header = group(bench.tasks.step.s(n, label=label("m")) for n in range(1500))
    result = chord(header, bench.tasks.step.s(label=label("b"))).apply_async()
    assert result.get(DEADLINE).startswith(f"{label('b')}([{label('m')}(0),{label('m')}(1),")
    assert len(result.parent) == 1500
    with pytest.raises(ValueError, match="used up"):
        header.apply_async()


def test_results_that_are_ignored_are_counted_all_the_same(bench, label):
    members = [bench.tasks.step.s(label=label(str(n))).set(ignore_result=True) for n in range(3)]
    assert chord(members, bench.tasks.step.s(label=label("b"))).apply_async().get(DEADLINE) is not None


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("how", ["expired", "too late", "ignored"])
def test_what_follows_the_end_follows_one_that_never_ran_too(bench, label, how, last):
    step = bench.tasks.step
    first = bench.tasks.give_up.si("ignore") if how == "ignored" else step.si(label=label("never"))
    errback = step.si(label=label("failed"))
    options = {"expired": {"expires": -1}, "too late": {"workflow_deadline": -1}, "ignored": {}}[how]
    workflow = first if last else first | step.s(label=label("never"))
    workflow.on_error(errback).apply_async(on_end=step.si(label=label("end")), **options)
    bench.rest()
    assert bench.runs(label("")) == {label("end"): 1}


@pytest.mark.parametrize("expires", [0, None, 1])
def test_how_long_results_live_does_not_matter(tmp_path, label, expires):
    own = make_bench(
        "sqlite", tmp_path, result_backend=f"sqlite:///{tmp_path}/bench.db", result_expires=expires
    ).start()
    try:
        for count in range(3):
            body = own.tasks.step.s(label=label(f"b{count}"))
            assert chord([own.tasks.step.s(label=label("m"))] * 3, body).apply_async().get(DEADLINE)
            time.sleep(0.5)
    finally:
        own.stop()


def test_where_nothing_can_count_the_call_says_what_to_configure(label):
    own = make_bench("memory", None, result_backend="disabled://")
    with pytest.raises(ImproperlyConfigured, match="cannot count the members of a chord: set result_backend"):
        chord([own.tasks.step.s(label="m")], own.tasks.step.s(label="b")).apply_async()
    own.app.close()


def test_so_it_does_where_the_chord_comes_later_in_a_chain(label):
    own = make_bench("memory", None, result_backend="disabled://")
    step = own.tasks.step.s(label="m")
    chord_in_chain = chain(step, group(step, step), step)
    for workflow in (chord_in_chain, group(step, chain(step, chord_in_chain))):
        with pytest.raises(ImproperlyConfigured, match="cannot count the members of a chord: set result_backend"):
            workflow.apply_async()
    own.app.close()


def test_where_nothing_can_count_a_task_that_gives_way_to_a_group_has_failed(label):
    own = make_bench("memory", None, result_backend="disabled://")
    step = own.tasks.step.si(label=label("m"))
    own.start()
    try:
        errback = own.tasks.step.si(label=label("failed"))
        own.tasks.replace.s(label=label("r"), by=group(step, step)).on_error(errback).apply_async()
        own.tasks.step.apply_async(kwargs={"label": label("linked")}, link=group(step, step) | step, link_error=errback)
        own.rest()
        assert own.runs(label("")) == {label("r"): 1, label("linked"): 1, label("failed"): 2}
    finally:
        own.stop()
