"""What an error keeps alive, and what is let go of when it was for memory."""

from __future__ import annotations

import threading
import weakref

import pytest

from celeriac.worker.executors.threads import ThreadExecutor
from celeriac.worker.shortage import let_go

DEADLINE = 10.0


class Large:
    """Stands for memory that a task has taken."""


def task(error: BaseException, seen: list[weakref.ref[Large]]) -> None:
    large = Large()
    seen.append(weakref.ref(large))
    raise error


def task_that_says_more(error: BaseException, seen: list[weakref.ref[Large]]) -> None:
    try:
        task(error, seen)
    except MemoryError:
        raise ValueError("the report is too large") from None


@pytest.mark.parametrize("run", [task, task_that_says_more])
def test_what_a_task_without_memory_had_is_free_before_its_end_is_recorded(run) -> None:
    seen: list[weakref.ref[Large]] = []
    with pytest.raises((MemoryError, ValueError)) as raised:
        run(MemoryError(), seen)
    assert seen[0]() is not None
    let_go(raised.value)
    assert seen[0]() is None
    assert raised.value.__traceback__ is not None


def test_other_errors_keep_what_their_handlers_may_look_at() -> None:
    seen: list[weakref.ref[Large]] = []
    with pytest.raises(ValueError, match="other") as raised:
        task(ValueError("other"), seen)
    let_go(raised.value)
    assert seen[0]() is not None


def test_what_a_slot_raises_comes_out_of_the_question_for_free_slots() -> None:
    freed = threading.Event()

    def run(_job: str) -> None:
        raise MemoryError

    executor = ThreadExecutor[str](run, slots=2, freed=freed.set)
    executor.start()
    assert executor.free == 2
    executor.submit("job")
    assert freed.wait(DEADLINE)
    with pytest.raises(MemoryError):
        _ = executor.free
    assert executor.busy == 0
    assert executor.stop(lambda: DEADLINE)
