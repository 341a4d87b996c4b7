"""What came as JSON and is no signature is refused by name, at the call."""

from __future__ import annotations

import pytest

from celeriac import Celeriac, chord
from celeriac.canvas import signature

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


def test_fields_that_are_missing_are_empty(tmp_path):
    app = Celeriac("shapes", broker=f"sqlite:///{tmp_path}/shapes.db", set_as_current=False)
    short = {"task": "add", "args": [1, 2]}
    result = chord([signature(short, app=app)], signature({"task": "total"}, app=app), app=app).apply_async()
    assert [one.id for one in result.parent] != []
    app.close()
