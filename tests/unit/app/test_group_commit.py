"""Sends that are made at the same time share a round trip."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from celeriac import Task
from celeriac.app.group_commit import GroupCommit
from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.exceptions import BrokerUnavailable, SendIncomplete
from celeriac.interfaces.broker import Nonce, Outgoing
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.samples import outgoing
from celeriac.testing.faults import BrokerBefore
from tests.unit.forks import can_fork, holds_in_a_fork
from tests.unit.threads import no_new_threads

DEADLINE = 10.0


class Gate:
    """A send that waits until it is let through, and notes its batches. Each batch may be told to fail."""

    def __init__(self, *errors: Exception | None) -> None:
        self.batches: list[list[object]] = []
        self.begun = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)
        self._errors = list(errors)

    def __call__(self, batch: Sequence[Outgoing]) -> None:
        self.batches.append([each.message.headers["n"] for each in batch])
        self.begun.release()
        assert self.passes.acquire(timeout=DEADLINE)
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error

    def first_is_under_way(self) -> None:
        assert self.begun.acquire(timeout=DEADLINE)

    def open(self) -> None:
        self.passes.release(100)


def added(group: GroupCommit, name: object) -> Future[None]:
    (future,) = group.add([outgoing(name)])
    return future


def test_what_comes_while_a_batch_is_under_way_goes_out_together_next():
    gate = Gate()
    group = GroupCommit(gate, patience=4.0)
    first = added(group, "first")
    gate.first_is_under_way()
    rest = [added(group, n) for n in range(5)]
    assert not first.done()
    gate.open()
    for future in [first, *rest]:
        future.result(DEADLINE)
    assert gate.batches == [["first"], [0, 1, 2, 3, 4]]
    group.close()


def test_a_batch_has_a_limit():
    gate = Gate()
    group = GroupCommit(gate, patience=4.0)
    added(group, "first")
    gate.first_is_under_way()
    futures = [added(group, n) for n in range(1100)]
    gate.open()
    for future in futures:
        future.result(DEADLINE)
    assert [len(batch) for batch in gate.batches] == [1, 500, 500, 100]
    group.close()


def test_an_error_reaches_everyone_in_the_batch_and_nobody_else():
    gate = Gate(None, BrokerUnavailable("away"))
    group = GroupCommit(gate, patience=4.0)
    first = added(group, "first")
    gate.first_is_under_way()
    rest = [added(group, n) for n in range(2)]
    gate.open()
    assert first.result(DEADLINE) is None
    for future in rest:
        with pytest.raises(BrokerUnavailable, match="away"):
            future.result(DEADLINE)
    assert added(group, "after").result(DEADLINE) is None
    group.close()


def test_who_has_waited_long_enough_fails_with_the_batch_that_found_the_broker_away():
    clock, gate = FakeClock(), Gate(BrokerUnavailable("away"))
    group = GroupCommit(gate, patience=4.0, clock=clock)
    first = added(group, "first")
    gate.first_is_under_way()
    early = [added(group, f"early {n}") for n in range(1100)]
    clock.advance(4.0)
    late = added(group, "late")
    gate.open()
    for future in (first, *early):
        with pytest.raises(BrokerUnavailable, match="away"):
            future.result(DEADLINE)
    assert late.result(DEADLINE) is None
    assert gate.batches == [["first"], ["late"]]
    group.close()


def test_without_a_thread_nothing_is_taken_and_the_next_send_tries_again():
    gate = Gate()
    gate.open()
    group = GroupCommit(gate, patience=4.0)
    with no_new_threads(), pytest.raises(RuntimeError, match="thread"):
        added(group, "refused")
    assert added(group, "taken").result(DEADLINE) is None
    assert gate.batches == [["taken"]]
    group.close()


@pytest.mark.parametrize("unsent", [(), (1,), (0, 2), (0, 1, 2)])
def test_of_a_batch_that_was_stored_in_part_only_the_unsent_fail(unsent):
    gate = Gate(None, SendIncomplete("in part", unsent=unsent))
    group = GroupCommit(gate, patience=4.0)
    added(group, "first")
    gate.first_is_under_way()
    futures = [added(group, n) for n in range(3)]
    gate.open()
    failed = tuple(n for n, future in enumerate(futures) if future.exception(DEADLINE) is not None)
    assert failed == unsent
    group.close()


def test_a_cancelled_send_is_left_out_and_does_not_shift_the_others():
    gate = Gate(None, SendIncomplete("in part", unsent=[1]))
    group = GroupCommit(gate, patience=4.0)
    added(group, "first")
    gate.first_is_under_way()
    futures = [added(group, n) for n in range(3)]
    assert futures[0].cancel()
    gate.open()
    assert futures[1].exception(DEADLINE) is None
    assert futures[2].exception(DEADLINE) is not None
    assert gate.batches[1] == [1, 2]
    group.close()


def test_a_send_that_is_under_way_cannot_be_cancelled_any_more():
    gate = Gate()
    group = GroupCommit(gate, patience=4.0)
    future = added(group, 1)
    gate.first_is_under_way()
    assert not future.cancel()
    gate.open()
    assert future.result(DEADLINE) is None
    group.close()


def test_close_sends_what_is_pending_and_ends_the_thread():
    gate = Gate()
    gate.open()
    group = GroupCommit(gate, patience=4.0)
    futures = [added(group, n) for n in range(20)]
    group.close()
    assert all(future.done() for future in futures)
    assert "celeriac-group-commit" not in {thread.name for thread in threading.enumerate()}


def test_it_may_be_used_again_after_close():
    gate = Gate()
    gate.open()
    group = GroupCommit(gate, patience=4.0)
    group.close()
    assert added(group, 1).result(DEADLINE) is None
    group.close()


@can_fork
def test_a_forked_child_sends_what_it_adds_and_not_what_the_parent_was_sending():
    gate = Gate()
    group = GroupCommit(gate, patience=4.0)
    added(group, "first")
    gate.first_is_under_way()
    added(group, "pending")

    def in_child() -> bool:
        gate.open()
        added(group, "child's").result(DEADLINE)
        return gate.batches == [["first"], ["child's"]]

    assert holds_in_a_fork(in_child)
    gate.open()
    group.close()
    assert gate.batches == [["first"], ["pending"]]


# -- through an application -------------------------------------------------------------------------------------------


class Counting(BrokerBefore):
    """A broker that notes how many messages each round trip brought."""

    def __init__(self, inner):
        super().__init__(inner)
        self.sizes: list[int] = []

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        self.sizes.append(len(outgoing))
        self._inner.send(outgoing)


@pytest.fixture
def counting(spine) -> Counting:
    broker = Counting(spine.app.broker)
    spine.app.publisher = Publisher(lambda: broker, policy=PublishPolicy(max_retries=0), clock=spine.clock)
    return broker


@pytest.fixture
def add(spine) -> Task[[int], int]:
    return spine.app.task(name="add")(lambda x: x)


def test_concurrent_adelays_share_round_trips_and_each_has_its_own_id(spine, counting, add):
    async def send() -> list[str]:
        results = await asyncio.gather(*(add.adelay(n) for n in range(200)))
        return [result.id for result in results]

    ids = asyncio.run(send())
    sent = {delivery.message.headers["id"] for delivery in spine.taken()}
    assert sent == set(ids)
    assert counting.sizes == [200]


def test_a_send_with_a_policy_of_its_own_goes_alone(counting, add):
    async def send() -> None:
        await asyncio.gather(*(add.aapply_async((n,), retry=False) for n in range(3)))

    asyncio.run(send())
    assert counting.sizes == [1, 1, 1]


def test_what_a_coroutine_sends_knows_its_parent(spine, add):
    @spine.app.task(name="parent")
    async def parent() -> None:
        await add.adelay(1)

    sent = parent.delay()
    job = spine.job()
    completion = asyncio.run(job.runner.run_async(job, lambda: None))
    spine.app.writer.store([completion.record])
    call = spine.call()
    assert (call.parent_id, [child.id for child in sent.children]) == (sent.id, [call.id])
