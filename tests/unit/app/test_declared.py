"""What a task says of itself is checked when it is made, not when a run has failed."""

from __future__ import annotations

import pytest

from celeriac import Task, shared_task
from celeriac.app.shared import _shared
from tests.unit.spine import Spine

EXCEPTIONS = ["autoretry_for", "dont_autoretry_for", "throws"]


def work() -> None: ...


def declare(spine: Spine, **options: object) -> Task[..., None]:
    return spine.app.task(name="work", **options)(work)


@pytest.mark.parametrize("option", EXCEPTIONS)
@pytest.mark.parametrize("given", [ValueError, (ValueError,), [ValueError], {ValueError}], ids=str)
def test_exceptions_may_be_one_class_or_several(spine, option, given):
    assert getattr(declare(spine, **{option: given}), option) == (ValueError,)


@pytest.mark.parametrize("option", EXCEPTIONS)
def test_a_class_attribute_may_be_one_exception_too(spine, option):
    made = spine.app.register_task(type("Work", (Task,), {option: ValueError, "name": "work", "run": lambda _: None}))
    assert getattr(made, option) == (ValueError,)


@pytest.mark.parametrize("option", EXCEPTIONS)
@pytest.mark.parametrize("given", ["ValueError", ("ValueError",), (int,), 5, (ValueError("x"),)], ids=str)
def test_what_is_no_exception_class_is_refused_by_name(spine, option, given):
    with pytest.raises(TypeError, match=rf"^work: {option}"):
        declare(spine, **{option: given})
    assert "work" not in spine.app.tasks


def test_a_single_exception_is_retried_after(spine):
    @spine.app.task(name="work", autoretry_for=ValueError, retry_kwargs={"countdown": 5, "max_retries": None})
    def fails() -> None:
        raise ValueError

    result = fails.delay()
    spine.run()
    assert result.state == "RETRY"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retry_kwargs": {"bogus": 1}}, "bogus"),
        ({"retry_kwargs": {"exc": None}}, "exc"),
        ({"retry_kwargs": {"max_retries": "5"}}, "max_retries"),
        ({"retry_kwargs": {"priority": 1.5}}, "priority"),
        ({"retry_kwargs": 5}, "retry_kwargs"),
        ({"resultrepr_maxsize": "long"}, "resultrepr_maxsize"),
        ({"resultrepr_maxsize": None}, "resultrepr_maxsize"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"default_retry_delay": "soon"}, "default_retry_delay"),
        ({"retry_backoff": "yes"}, "retry_backoff"),
        ({"priority": 1.5}, "priority"),
        ({"serializer": 5}, "serializer"),
    ],
    ids=str,
)
def test_an_option_of_the_wrong_type_is_refused_by_name(spine, options, said):
    with pytest.raises(TypeError, match=rf"^work: .*{said}"):
        declare(spine, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"default_retry_delay": float("nan")},
        {"retry_backoff_max": float("inf")},
        {"retry_backoff": -1},
        {"priority": 256},
        {"time_limit": float("nan")},
        {"retry_kwargs": {"countdown": float("inf")}},
    ],
    ids=str,
)
def test_a_number_that_cannot_be_is_refused_by_name(spine, options):
    with pytest.raises(ValueError, match=r"^work: "):
        declare(spine, **options)


def test_a_shared_task_is_checked_as_well():
    with pytest.raises(TypeError, match=r"^lib: throws"):
        shared_task(name="lib", throws="ValueError")(work)
    assert "lib" not in _shared


def test_annotations_are_checked_as_well(make_spine):
    spine = make_spine(task_annotations={"work": {"throws": ValueError}})
    task = declare(spine)
    spine.app.finalize()
    assert task.throws == (ValueError,)
