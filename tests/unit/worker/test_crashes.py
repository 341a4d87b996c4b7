"""How often a task's worker is said to have died: as often as it did."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from celeriac.exceptions import CoordinatorError, Reject
from celeriac.testing.faults import BrokerBefore
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.engine import Engine
from celeriac.worker.holdings import Holdings
from celeriac.worker.options import WorkerOptions, plan
from tests.unit.spine import LEASE, NODE, Spine

DEADLINE = 10.0


@pytest.fixture
def work(spine: Spine) -> Callable[[], None]:
    """Return what runs an engine until the task ``last``."""
    engines: list[Engine] = []

    @spine.app.task(name="last")
    def last() -> None:
        engines[0].stop()

    def run() -> None:
        node = plan(WorkerOptions(pool="solo", hostname=NODE), spine.app.conf, queues=("celery",))
        engines.append(Engine(spine.app, node, Holdings(), index=1))
        with ThreadPoolExecutor(1) as pool:  # in the main thread it would take SIGALRM for itself
            pool.submit(engines[0].run).result(DEADLINE)

    return run


def die(spine: Spine, *, times: int) -> None:
    """Let so many workers begin the one task that is there, as an engine does, and die."""
    counter = CrashCounter(spine.app.coordinator, most=100)
    for _ in range(times):
        job = spine.job()
        if job.delivery.redelivered:
            counter.count(job.call)
        spine.clock.advance(LEASE + 1)
        spine.app.broker.upkeep(limit=10)


def reasons(spine: Spine) -> list[str]:
    return [letter.reason for letter in spine.app.dead_letters.list()]


def test_a_task_is_refused_with_the_number_of_its_crashes(spine, work):
    ran: list[int] = []
    spine.app.task(name="poison")(lambda: ran.append(1)).delay()
    die(spine, times=3)
    spine.app.tasks["last"].delay()
    work()
    assert ran == []
    assert reasons(spine) == ["its worker died 3 times while it ran"]


def test_a_refusal_that_is_cut_off_and_repeated_is_no_crash(spine, work):
    class CutOff(BrokerBefore):
        """The lease ends before the first refusal has reached the store."""

        refusals = 0

        def reject(self, leases, *, reason):
            self.refusals += 1
            if self.refusals == 1:
                spine.clock.advance(LEASE + 1)
                self.upkeep(limit=10)
            return self._inner.reject(leases, reason=reason)

    broker = CutOff(spine.app.broker)
    stores = spine.app.stores
    stores._broker_store = msgspec.structs.replace(stores._broker_store, broker=broker)
    result = spine.app.task(name="poison")(lambda: None).delay()
    die(spine, times=3)
    spine.app.tasks["last"].delay()
    work()
    assert broker.refusals == 2
    assert reasons(spine) == ["its worker died 3 times while it ran"]
    assert "died 3 times" in str(result.result)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_run_that_gives_its_message_back_is_no_crash(spine, work, is_async):
    ran: list[int] = []

    def give_back() -> str:
        ran.append(1)
        if len(ran) < 5:
            raise Reject("not yet", requeue=True)
        spine.app.tasks["last"].delay()
        return "done"

    async def give_back_soon() -> str:
        return give_back()

    result = spine.app.task(name="busy")(give_back_soon if is_async else give_back).delay()
    die(spine, times=2)
    work()
    assert len(ran) == 5
    assert result.get(timeout=DEADLINE) == "done"
    assert reasons(spine) == []


def test_a_store_that_cannot_count_back_is_told_of_and_disturbs_nothing(spine, caplog):
    class Away:
        def increment(self, name: str, *, by: int = 1, ttl: float) -> int:
            raise CoordinatorError("away")

    spine.app.task(name="t")(lambda: None).delay()
    call = spine.job().call
    CrashCounter(Away(), most=3).count_back(call)
    assert f"One crash too many is counted for task t[{call.id}]: away" in caplog.text


def test_without_a_coordinator_nothing_is_counted(spine):
    spine.app.task(name="t")(lambda: None).delay()
    call = spine.job().call
    counter = CrashCounter(None, most=3)
    counter.count(call)
    counter.count_back(call)
    assert not counter.is_too_many(counter.crashes_before(call))
