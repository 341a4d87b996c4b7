"""A task that gives way to what cannot take its place has failed, and says why."""

from __future__ import annotations

import pytest

from celeriac import chord
from celeriac.exceptions import EncodeError
from tests.canvas.bench import DEADLINE


def give_way(bench, how):
    """Return the signature of a task that is replaced with something odd."""
    return bench.app.tasks["give_way"].s(how)


def test_an_argument_that_cannot_be_written_is_named(bench):
    with pytest.raises(EncodeError, match="cannot write object at argument 0"):
        give_way(bench, "unwritable").delay().get(DEADLINE)


def test_an_option_that_cannot_be_is_named_by_the_chord_too(bench):
    result = chord([give_way(bench, "late")], bench.tasks.step.s(label="-")).apply_async()
    with pytest.raises(TypeError, match="countdown='soon' must be a number of seconds"):
        result.get(DEADLINE)


@pytest.mark.parametrize(("how", "shown"), [("none", "None"), ("text", "'step'")])
def test_what_is_no_signature_is_named(bench, how, shown):
    with pytest.raises(TypeError, match=f"{shown} is no signature: write task.s"):
        give_way(bench, how).delay().get(DEADLINE)


def test_a_signature_as_json_has_it_takes_the_place(bench):
    assert give_way(bench, "json").delay().get(DEADLINE) == "given()"
