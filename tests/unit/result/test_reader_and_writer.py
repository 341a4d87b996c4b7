"""Waiting for results, and writing them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from celeriac.exceptions import BackendError, EncodeError, ImproperlyConfigured, TimeoutError
from celeriac.interfaces.results import ResultListener, ResultRecord
from celeriac.result.reader import ResultReader
from celeriac.testing.clock import FakeClock
from celeriac.testing.faults import Fault, FaultSchedule, FaultyResults, ResultsBefore
from celeriac.wire import results as wire
from celeriac.wire.content import accepted
from celeriac.wire.results import TaskResult

JSON = accepted(["json"])


class Slow(ResultsBefore):
    """A store in which a wait takes its whole time, on a scripted clock; the result comes at a moment."""

    def __init__(self, inner, clock: FakeClock, *, comes: float = float("inf")):
        super().__init__(inner)
        self.clock = clock
        self.comes = comes
        self.waits: list[float] = []

    def listen(self, ids: Sequence[str] = ()) -> ResultListener:
        return SlowListener(self, ids)


class SlowListener:
    def __init__(self, store: Slow, ids: Sequence[str]) -> None:
        self._store = store
        self._ids = list(ids)

    def add(self, ids: Collection[str]) -> None:
        self._ids.extend(ids)

    def discard(self, ids: Collection[str]) -> None:
        self._ids = [task_id for task_id in self._ids if task_id not in ids]

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        self._store.waits.append(timeout)
        if self._store.clock.monotonic() + timeout >= self._store.comes:
            return {task_id: wire.encode(TaskResult(task_id, "SUCCESS", result="here")) for task_id in self._ids}
        self._store.clock.advance(timeout)
        return {}

    def close(self) -> None:
        self._ids = []


def reader(backend, clock: FakeClock) -> ResultReader:
    return ResultReader(lambda: backend, serializer="json", accept=JSON, handle_on=str, clock=clock)


def test_a_long_wait_is_made_of_short_ones(spine):
    slow = Slow(spine.app.results, spine.clock, comes=12)
    assert reader(slow, spine.clock).wait("x", timeout=None).result == "here"
    assert slow.waits == [5, 5, 5]


def test_a_wait_ends_with_its_time(spine):
    slow = Slow(spine.app.results, spine.clock)
    with pytest.raises(TimeoutError, match="No result of task x after 12 s"):
        reader(slow, spine.clock).wait("x", timeout=12)
    assert slow.waits == [5, 5, 2, 0]
    assert spine.clock.monotonic() == 12


def test_a_negative_time_asks_once(spine):
    slow = Slow(spine.app.results, spine.clock)
    with pytest.raises(TimeoutError):
        reader(slow, spine.clock).wait("x", timeout=-1)
    assert slow.waits == [0]


def test_a_failing_store_is_the_caller_s_to_know(spine):
    reads = reader(FaultyResults(spine.app.results, FaultSchedule(Fault.BEFORE, every=2, seed=1)), spine.clock)
    with pytest.raises(BackendError, match="scheduled fault"):
        _ = [reads.read("x") for _ in range(20)]


def test_without_a_backend_the_error_names_the_setting(spine):
    with pytest.raises(ImproperlyConfigured, match="set result_backend"):
        ResultReader(lambda: None, serializer="json", accept=JSON, handle_on=str).read("x")


# -- writing -----------------------------------------------------------------------------------------------------------


def stored(spine, record: ResultRecord) -> TaskResult:
    spine.app.writer.store([record])
    return spine.app.reader.read(record.task_id)


def test_a_value_that_cannot_be_written_is_an_error_that_names_the_task(spine):
    with pytest.raises(EncodeError, match="result of task x:"):
        spine.app.writer.record(TaskResult(task_id="x", state="SUCCESS", result=object()))


def test_a_result_larger_than_allowed_is_an_error_that_names_the_limit(make_spine):
    spine = make_spine(result_max_bytes=300)
    with pytest.raises(EncodeError, match=r"task x takes \d+ bytes; result_max_bytes allows 300"):
        spine.app.writer.record(TaskResult(task_id="x", state="SUCCESS", result="v" * 400))


def test_of_an_error_that_cannot_be_written_what_can_be_told_is_stored(make_spine):
    spine = make_spine(result_max_bytes=300)
    record = spine.app.writer.record_of_error(
        TaskResult(task_id="x", state="FAILURE", result=KeyError("k" * 9000), traceback="t" * 9000, parent_id="p")
    )
    told = stored(spine, record)
    assert (told.state, told.parent_id, told.traceback) == ("FAILURE", "p", None)
    assert str(told.result).startswith("builtins.KeyError; more could not be stored: The result of task x takes")
    assert len(record.payload) < 1000


def test_an_error_that_can_be_written_is_stored_whole(spine):
    told = stored(
        spine, spine.app.writer.record_of_error(TaskResult(task_id="x", state="FAILURE", result=KeyError("k")))
    )
    assert repr(told.result) == "KeyError('k')"


def test_without_a_backend_results_are_dropped(make_spine):
    spine = make_spine(backend="disabled://")
    assert not spine.app.writer.keeps_results
    spine.app.writer.write_state("x", "SUCCESS", 1)


def test_a_state_of_one_s_own_is_stored_at_once_and_only_an_end_has_a_date(spine):
    spine.app.writer.write_state("x", "PROGRESS", {"done": 1})
    assert spine.app.reader.read("x").date_done is None
    spine.app.writer.write_state("x", "SUCCESS", 1)
    assert spine.app.reader.read("x").date_done is not None


def test_a_task_stores_its_progress_under_its_own_id(spine):
    states = []

    @spine.app.task(bind=True)
    def work(self) -> None:
        self.update_state(state="HALF", meta={"of": 2})
        self.update_state(meta=1)
        states.append(spine.app.AsyncResult(self.request.id).state)
        self.update_state(task_id="other", state="SEEN")

    work.delay()
    spine.run()
    assert states == ["PROGRESS"]
    assert spine.app.AsyncResult("other").state == "SEEN"
    with pytest.raises(ImproperlyConfigured, match="needs a task_id"):
        work.update_state(state="HALF")
