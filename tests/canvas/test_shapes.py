"""What is no signature, or none that can be sent, is refused by name, at the call."""

from __future__ import annotations

import pytest

from celeriac import Celeriac, chain, chord, group
from celeriac.canvas import draw, signature

ADD = {"task": "add", "args": [1, 2], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}


def of_kind(kind, **kwargs):
    return {
        **ADD,
        "task": f"celery.{kind}",
        "subtask_type": kind if kind in ("chain", "group", "chord") else None,
        "kwargs": kwargs,
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "is no signature"),
        ({**ADD, "args": "ab"}, "add: args='ab' must be a list"),
        ({**ADD, "args": {"a": 1}}, "args={'a': 1} must be a list"),
        ({**ADD, "kwargs": [1]}, r"kwargs=\[1\] must be a mapping"),
        ({**ADD, "options": "x"}, "options='x' must be a mapping"),
        (of_kind("chain"), "tasks=None must be a list of signatures"),
        (of_kind("chain", tasks="abc"), "tasks='abc' must be a list of signatures"),
        (of_kind("group", tasks={"a": ADD}), "must be a list of signatures"),
        (of_kind("group", tasks=[ADD, 5]), "a list of signatures, which 5 is not"),
        (of_kind("chord", body=ADD), "header=None must be a group or a list of signatures"),
        (of_kind("chord", header="abc", body=ADD), "header='abc' must be a group"),
        (of_kind("chord", header=[ADD], body="x"), "body='x' must be a signature"),
        (of_kind("chord", header=[ADD], body=[ADD]), "must be a signature"),
        (of_kind("map", task=ADD, it=5), "it=5 must be a list of items"),
        (of_kind("chunks", task=ADD, it=[[1]], n=0), "n=0 must be a whole number from 1"),
        (of_kind("starmap", it=[[1]]), "task=None must be a signature"),
    ],
)
def test_a_wrong_shape_is_named(given, said):
    for make in (lambda: signature(given), lambda: chord([signature(ADD), signature(given)], signature(ADD))):
        with pytest.raises(TypeError, match=said):
            make()


@pytest.fixture
def add(tmp_path):
    app = Celeriac("shapes", broker=f"sqlite:///{tmp_path}/shapes.db", set_as_current=False)
    yield app.task(name="add")(lambda x, y=1: x + y)
    app.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: signature(5), "5 is no task: give a task, its name"),
        (lambda _: chain(5), "5 is no signature, nor a list of such: write task.s"),
        (lambda _: group("add"), "'add' is no signature, nor a list of such"),
        (lambda add: chain(add, add.s()), "<Task: add> is no signature: write task.s"),
        (lambda add: chain([add.s(1), None]), "None is no signature: write task.s"),
        (lambda add: add.s(1) | add, "<Task: add> is no signature: write task.s"),
        (lambda add: add | add.s(1), "<Task: add> is no signature: write task.s"),
        (lambda add: group(add.s(1), add.s(2)) | add, "<Task: add> is no signature: write task.s"),
        (lambda add: chord(5, add.s()), "5 is no signature, nor a list of such"),
        (lambda add: add.map(5), "5 is no list of items: give one, or a generator"),
        (lambda add: add.chunks("ab", 2), "'ab' is no list of items"),
        (lambda add: add.s(1).set(stamped_headers=5).delay(), "stamped_headers=5 must be a list of names"),
        (
            lambda add: group(add.s(1), add.s(2).set(queue=5)).delay(),
            "queue=5 must be a name, or an object that has one",
        ),
        (lambda add: group(add.s(1)).apply_async(exchange=5), "exchange=5 must be a name, or an object that has one"),
        (lambda add: add.s(1).apply_async(workflow_deadline="x"), "workflow_deadline='x' must be a number of seconds"),
    ],
)
def test_what_is_of_a_wrong_type_is_named(add, make, said):
    with pytest.raises(TypeError, match=said):
        make(add)


@pytest.mark.parametrize("deadline", [float("nan"), float("inf"), -1e300])
def test_a_deadline_is_a_number_of_seconds(add, deadline):
    with pytest.raises(ValueError, match=r"workflow_deadline=.* must be a number of seconds from now, within"):
        add.s(1).apply_async(workflow_deadline=deadline)


def _in_one_another(add, wrap):
    sig = add.s(1)
    for _ in range(2000):
        sig = wrap(sig)
    return sig


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda add, sig: group(sig, add.s(1)), id="groups"),
        pytest.param(lambda add, sig: chord([sig], add.s()), id="chords"),
        pytest.param(lambda add, sig: add.s(1).set(link=[sig]), id="callbacks"),
    ],
)
def test_what_is_nested_too_deep_says_so(add, wrap):
    sig = _in_one_another(add, lambda inner: wrap(add, inner))
    for use in (sig.apply_async, lambda: draw(sig), sig.freeze):
        with pytest.raises(ValueError, match=r"nested too deep.*steps of one chain"):
            use()


def test_a_chain_may_be_long(add):
    sig = chain([add.s(1), *(add.s() for _ in range(2000))]) | add.s()
    assert len(sig.tasks) == 2002
    assert len(sig.apply_async().as_list()) == 2002


def test_fields_that_are_missing_are_empty(tmp_path):
    app = Celeriac("shapes", broker=f"sqlite:///{tmp_path}/shapes.db", set_as_current=False)
    short = {"task": "add", "args": [1, 2]}
    result = chord([signature(short, app=app)], signature({"task": "total"}, app=app), app=app).apply_async()
    assert [one.id for one in result.parent] != []
    app.close()
