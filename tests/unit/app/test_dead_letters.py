"""Dead letters as an application sees them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from celeriac import states
from celeriac.app.crashes import counter_name
from celeriac.app.dead_letters import DeadLetterOffice, task_of
from celeriac.drivers.memory import store as memory
from celeriac.exceptions import BackendError, ImproperlyConfigured
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store
from celeriac.result.handle import AsyncResult
from celeriac.testing.faults import Fault, FaultSchedule, FaultyResults
from celeriac.wire.message import Message
from celeriac.worker.crashes import CrashCounter
from tests.unit.spine import LEASE, Spine


def bury(spine: Spine, *names: str, queue: str = "celery", reason: str = "no") -> list[AsyncResult]:
    """Send tasks and reject their messages; the workers' side stores a failure first."""
    sent = [spine.app.send_task(name, queue=queue) for name in names]
    held = spine.taken(queue)
    for result in sent:
        spine.app.writer.write_state(result.id, states.FAILURE, {"exc_type": "X", "exc_message": [], "exc_module": ""})
    spine.app.broker.reject([delivery.lease for delivery in held], reason=reason)
    return [spine.app.AsyncResult(result.id) for result in sent]


def names(letters) -> list[str | None]:
    return [task_of(letter)[0] for letter in letters]


def ids(letters) -> list[str]:
    return [letter.id for letter in letters]


def test_letters_of_all_queues_are_listed_the_newest_first(spine: Spine) -> None:
    for name, queue in (("a", "one"), ("b", "two"), ("c", "one")):
        bury(spine, name, queue=queue)
        spine.clock.advance(1)
    assert names(spine.app.dead_letters.list()) == ["c", "b", "a"]
    assert names(spine.app.dead_letters.list(queue="one")) == ["c", "a"]
    assert names(spine.app.dead_letters.list(queue=["two", "nobody's"])) == ["b"]
    assert names(spine.app.dead_letters.list(limit=2)) == ["c", "b"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"task": "proj.add"}, ["proj.add"]),
        ({"task": "proj.*"}, ["proj.mul", "proj.add"]),
        ({"task": "Proj.add"}, []),
        ({"reason": "TIMES"}, ["other", "proj.mul"]),
        ({"reason": "[x]"}, []),
        ({"older_than": 90}, ["proj.add"]),
        ({"older_than": timedelta(seconds=45)}, ["proj.mul", "proj.add"]),
        ({"older_than": 45, "task": "*", "reason": "died"}, ["proj.mul"]),
    ],
)
def test_letters_are_found_by_task_reason_and_age(spine: Spine, wanted: Mapping, found: Sequence[str]) -> None:
    bury(spine, "proj.add", reason="it is not registered")
    spine.clock.advance(50)
    bury(spine, "proj.mul", reason="its worker died 3 times")
    spine.clock.advance(50)
    bury(spine, "other", reason="3 Times too large")
    assert names(spine.app.dead_letters.list(**wanted)) == found


def test_bytes_that_are_no_message_are_listed_unless_a_task_is_asked_for(spine: Spine) -> None:
    memory.share(spine.store).shelves.put_raw("celery", b"?")
    spine.app.broker.reject([spine.delivery().lease], reason="unreadable")
    assert names(spine.app.dead_letters.list()) == [None]
    assert names(spine.app.dead_letters.list(task="?*")) == []


def test_many_letters_are_read_a_page_at_a_time(spine: Spine) -> None:
    app = spine.app
    app.broker.send([Outgoing(Route("celery"), Message({"task": "t", "id": str(n)}, b"")) for n in range(1000)])
    app.broker.reject([delivery.lease for delivery in spine.taken()], reason="no")
    seen = app.dead_letters.list()
    first = [letter.message.headers["id"] for letter in itertools.islice(seen, 3)]
    assert first == ["999", "998", "997"]
    assert app.dead_letters.purge() == 1000
    assert len(list(seen)) == 97, "only what was read before is still in memory"


def test_a_letter_is_fetched_by_its_id(spine: Spine) -> None:
    bury(spine, "proj.add")
    (letter,) = spine.app.dead_letters.list()
    assert spine.app.dead_letters.fetch(letter.id) == letter
    assert spine.app.dead_letters.fetch("nobody") is None


def test_a_task_that_is_given_back_is_pending_again_and_runs(spine: Spine) -> None:
    @spine.app.task(name="add")
    def add() -> int:
        return 5

    (result,) = bury(spine, "add")
    assert spine.app.AsyncResult(result.id).state == states.FAILURE
    settled = spine.app.dead_letters.requeue(ids(spine.app.dead_letters.list()))
    assert (settled.done, settled.missing) == (1, ())
    assert spine.app.AsyncResult(result.id).state == states.PENDING
    spine.run()
    assert result.get(timeout=0) == 5


def test_giving_back_names_the_ids_that_are_not_there(spine: Spine) -> None:
    bury(spine, "a", "b")
    newer, older = ids(spine.app.dead_letters.list())
    spine.app.dead_letters.remove([newer])
    settled = spine.app.dead_letters.requeue(["nobody", newer, older])
    assert (settled.done, settled.missing) == (1, ("nobody", newer))


def test_a_generator_of_letters_may_be_given_back_while_it_is_read(spine: Spine) -> None:
    app = spine.app
    app.broker.send([Outgoing(Route("celery"), Message({"task": "t", "id": str(n)}, b"")) for n in range(450)])
    app.broker.reject([delivery.lease for delivery in spine.taken()], reason="no")
    assert app.dead_letters.requeue(letter.id for letter in app.dead_letters.list(task="t")).done == 450
    stats = app.broker.stats(["celery"])["celery"]
    assert (stats.ready, stats.dead) == (450, 0)


def test_a_success_is_not_forgotten_when_its_task_is_given_back(spine: Spine) -> None:
    (result,) = bury(spine, "add")
    spine.app.writer.write_state(result.id, states.SUCCESS, 5)
    assert spine.app.dead_letters.requeue(ids(spine.app.dead_letters.list())).done == 1
    assert spine.app.AsyncResult(result.id).result == 5


def test_a_result_that_cannot_be_read_is_forgotten(spine: Spine) -> None:
    (result,) = bury(spine, "add")
    assert spine.app.results is not None
    spine.app.results.store([ResultRecord(result.id, states.FAILURE, b"?", None)])
    assert spine.app.dead_letters.requeue(ids(spine.app.dead_letters.list())).done == 1
    assert spine.app.AsyncResult(result.id).state == states.PENDING


def test_crashes_are_counted_anew_after_a_task_was_given_back(spine: Spine) -> None:
    @spine.app.task(name="crash")
    def crash() -> None:
        raise AssertionError

    counter = CrashCounter(spine.app.coordinator, most=3)
    crash.delay()
    for crashes in (1, 2, 3):
        spine.taken()
        spine.clock.advance(LEASE + 1)
        spine.app.broker.upkeep(limit=10)
        job = spine.job()
        assert [counter.crashes_before(job.call) for _ in range(2)] == [crashes, crashes]
        counter.count(job.call)
        spine.app.broker.requeue([job.delivery.lease])
    job = spine.job()
    spine.app.broker.reject([job.delivery.lease], reason="its worker died 3 times while it ran")
    assert spine.app.dead_letters.requeue(ids(spine.app.dead_letters.list())).done == 1
    again = spine.job()
    assert again.delivery.redelivered is False
    assert counter.crashes_before(again.call) == 1


@pytest.mark.parametrize(
    "message",
    [
        Message({"task": "t", "id": "i", "retries": 2}, b"?"),
        Message({}, b'{"task": "t", "id": "i", "retries": 2, "args": []}'),
    ],
    ids=["protocol 2", "protocol 1"],
)
def test_the_crashes_of_a_later_try_are_forgotten_too(spine: Spine, message: Message) -> None:
    app = spine.app
    coordinator = app.coordinator
    assert coordinator is not None
    coordinator.increment(counter_name("i", 2), ttl=60)
    app.broker.send([Outgoing(Route("celery"), message)])
    spine.taken()
    spine.clock.advance(LEASE + 1)
    app.broker.upkeep(limit=10)
    app.broker.reject([spine.delivery().lease], reason="no")
    app.dead_letters.requeue(ids(app.dead_letters.list()))
    assert coordinator.increment(counter_name("i", 2), ttl=60) == 1


def test_bytes_that_are_no_message_are_given_back_as_they_are(spine: Spine) -> None:
    memory.share(spine.store).shelves.put_raw("celery", b"?")
    held = spine.delivery()
    spine.app.broker.reject([held.lease], reason="unreadable")
    assert spine.app.dead_letters.requeue(ids(spine.app.dead_letters.list())).done == 1
    assert spine.delivery().message == held.message


def office(spine: Spine, *, results: ResultBackend | None) -> DeadLetterOffice:
    return DeadLetterOffice(
        lambda: spine.app.stores.dead_letters,
        results=lambda: results,
        coordinator=lambda: None,
        serializer="json",
        accept=frozenset({"application/json"}),
        clock=spine.clock,
    )


@pytest.mark.parametrize("fault", list(Fault))
def test_nothing_is_given_back_while_the_results_cannot_be_forgotten(spine: Spine, fault: Fault) -> None:
    bury(spine, "add")
    results = spine.app.results
    assert results is not None
    flaky = office(spine, results=FaultyResults(results, _Always(fault)))
    letters = ids(flaky.list())
    with pytest.raises(BackendError):
        flaky.requeue(letters)
    assert spine.app.broker.stats(["celery"])["celery"].dead == 1
    assert spine.app.dead_letters.requeue(letters).done == 1


def test_letters_are_given_back_where_neither_results_nor_crashes_are_kept(spine: Spine) -> None:
    bury(spine, "add")
    plain = office(spine, results=None)
    assert plain.requeue(ids(plain.list())).done == 1


def test_letters_are_removed_and_their_results_stay(spine: Spine) -> None:
    first, second = bury(spine, "a", "b")
    newer, _ = ids(spine.app.dead_letters.list())
    settled = spine.app.dead_letters.remove([newer, "nobody"])
    assert (settled.done, settled.missing) == (1, ("nobody",))
    assert names(spine.app.dead_letters.list()) == ["a"]
    assert (first.state, second.state) == (states.FAILURE, states.FAILURE)


def test_letters_are_purged_by_queue_and_age(spine: Spine) -> None:
    for queue in ("one", "two"):
        bury(spine, f"old-{queue}", queue=queue)
    spine.clock.advance(100)
    bury(spine, "new-one", queue="one")
    assert spine.app.dead_letters.purge(queue="one", older_than=50) == 1
    assert spine.app.dead_letters.purge(older_than=timedelta(seconds=50)) == 1
    assert names(spine.app.dead_letters.list()) == ["new-one"]
    assert spine.app.dead_letters.purge() == 1


def test_a_broker_that_shows_no_dead_letters_is_named(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = spine.app.broker
    monkeypatch.setattr(spine.app.stores, "_broker_store", Store(broker=broker))
    with pytest.raises(ImproperlyConfigured, match=f"memory://{spine.store} cannot show"):
        list(spine.app.dead_letters.list())


def test_letters_can_be_looked_at_again_after_the_application_was_closed(make_spine: Callable[..., Spine]) -> None:
    spine = make_spine()
    bury(spine, "add")
    assert names(spine.app.dead_letters.list()) == ["add"]
    spine.app.close()
    assert names(spine.app.dead_letters.list()) == ["add"]


class _Always(FaultSchedule):
    """Every call fails, in the same way."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self._fault = fault

    def next(self) -> Fault:
        return self._fault
