"""Threads that send at the same time share a round trip, and each hears of its own message alone."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from celeriac import Celeriac
from celeriac.app.publishing import Publisher, PublishPolicy
from celeriac.clock import SYSTEM_CLOCK
from celeriac.exceptions import BrokerUnavailable, EncodeError, SendIncomplete
from celeriac.interfaces.broker import Nonce, Outgoing, Terms
from celeriac.testing.conformance.samples import drain, outgoing
from celeriac.testing.faults import BrokerBefore
from tests.unit.forks import can_fork, holds_in_a_fork

DEADLINE = 10.0
BEHIND = 5
"""Threads that send while the first send is held up."""


class BrokenOffError(Exception):
    """What comes from outside in the middle of a send, as a soft time limit does."""


class Gate(BrokerBefore):
    """Holds up the first send until `open`, and notes all. What a plan says of a later one happens in its place."""

    def __init__(self, inner, *plan: Callable[[Sequence[Outgoing]], None]) -> None:
        super().__init__(inner)
        self.sends: list[tuple[list[object], Nonce | None]] = []
        self.begun = threading.Event()
        self._opened = threading.Event()
        self._plan = list(plan)

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        self.sends.append(([each.message.headers["n"] for each in outgoing], nonce))
        if len(self.sends) == 1:
            self.begun.set()
            assert self._opened.wait(DEADLINE)
        elif self._plan:
            self._plan.pop(0)(outgoing)
        self._inner.send(outgoing, nonce=nonce)

    def open(self) -> None:
        self._opened.set()

    @property
    def batches(self) -> list[list[object]]:
        return [batch for batch, _ in self.sends]


class Threads:
    """A publisher, and threads that send with it."""

    def __init__(self, broker, *, retries: int = 0) -> None:
        self.broker = broker
        policy = PublishPolicy(max_retries=retries)
        self.publisher = Publisher(lambda: broker, policy=policy, clock=SYSTEM_CLOCK)
        self._pool = ThreadPoolExecutor(20)
        self.turn = self.publisher._gathering._turn

    def send(self, item: Outgoing) -> Future[None]:
        return self._pool.submit(self.publisher.send, [item])

    def behind(self, *items: Outgoing) -> list[Future[None]]:
        """Send these while the first send is held up; return when all wait for it."""
        futures = []
        for number, item in enumerate(items, start=1):
            futures.append(self.send(item))
            ended = threading.Event()
            while len(self.turn.waiting) < number:
                assert not ended.wait(0.0005)
        return futures

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def threads_on(spine, monkeypatch):
    monkeypatch.setattr("celeriac.app.gathering._PATIENCE", DEADLINE)  # a slow machine makes nobody impatient
    made: list[Threads] = []

    def make(*plan, **options) -> Threads:
        made.append(Threads(Gate(spine.app.broker, *plan), **options))
        return made[-1]

    yield make
    for threads in made:
        threads.broker.open()
        threads.close()


def held_up(threads: Threads) -> Future[None]:
    first = threads.send(outgoing("first"))
    assert threads.broker.begun.wait(DEADLINE)
    return first


def raising(error: Exception) -> Callable[[Sequence[Outgoing]], None]:
    def plan(_batch: Sequence[Outgoing]) -> None:
        raise error

    return plan


def test_what_comes_while_a_send_is_under_way_goes_out_together_next(threads_on, spine):
    threads = threads_on()
    first = held_up(threads)
    rest = threads.behind(*map(outgoing, range(BEHIND)))
    assert not any(future.done() for future in [first, *rest])
    threads.broker.open()
    for future in [first, *rest]:
        future.result(DEADLINE)
    assert threads.broker.batches == [["first"], list(range(BEHIND))]
    assert drain(spine.app.broker) == ["first", *range(BEHIND)]


def test_every_thread_has_an_error_of_its_own(threads_on):
    threads = threads_on(raising(BrokerUnavailable("refused")))
    first = held_up(threads)
    rest = threads.behind(*map(outgoing, range(BEHIND)))
    threads.broker.open()
    errors = [future.exception(DEADLINE) for future in rest]
    assert first.exception(DEADLINE) is None
    assert {type(error) for error in errors} == {BrokerUnavailable}
    assert {str(error).rpartition(": ")[2] for error in errors} == {"refused"}
    assert len(set(map(id, errors))) == BEHIND


def test_what_the_store_refuses_fails_alone(threads_on, spine):
    def refuse_second(batch: Sequence[Outgoing]) -> None:
        spine.app.broker.send([batch[0], *batch[2:]])
        raise SendIncomplete("one was refused", unsent=[1])

    threads = threads_on(refuse_second, raising(BrokerUnavailable("too much")))
    held_up(threads)
    rest = threads.behind(*map(outgoing, range(BEHIND)))
    threads.broker.open()
    errors = [future.exception(DEADLINE) for future in rest]
    assert [type(error) for error in errors] == [type(None), BrokerUnavailable, *[type(None)] * (BEHIND - 2)]
    assert threads.broker.batches == [["first"], list(range(BEHIND)), [1]]
    assert sorted(drain(spine.app.broker), key=str) == [0, 2, 3, 4, "first"]


def test_one_that_cannot_be_written_harms_no_other(threads_on, spine):
    def refuse_third(batch: Sequence[Outgoing]) -> None:
        if any(each.message.headers["n"] == 2 for each in batch):
            raise EncodeError("2 cannot be written")

    threads = threads_on(*[refuse_third] * (BEHIND + 1))
    held_up(threads)
    rest = threads.behind(*map(outgoing, range(BEHIND)))
    threads.broker.open()
    assert [type(future.exception(DEADLINE)) for future in rest].count(EncodeError) == 1
    assert type(rest[2].exception()) is EncodeError
    assert sorted(drain(spine.app.broker), key=str) == [0, 1, 3, 4, "first"]


def test_a_send_that_is_broken_off_is_made_again_by_another_as_the_same_send(threads_on, spine):
    threads = threads_on(raising(BrokenOffError("time is up")), raising(BrokenOffError("here too")))
    held_up(threads)
    rest = threads.behind(*map(outgoing, range(BEHIND)))
    threads.broker.open()
    errors = [future.exception(DEADLINE) for future in rest]
    assert [type(error) for error in errors] == [*[BrokenOffError] * 2, *[type(None)] * (BEHIND - 2)]
    (_, first), (_, second), (_, third) = threads.broker.sends[1:]
    assert first == second == third
    assert drain(spine.app.broker) == ["first", *range(BEHIND)]


def test_the_next_send_is_another_one_than_that_which_was_broken_off(threads_on):
    threads = threads_on(raising(BrokenOffError("time is up")))
    held_up(threads)
    (broken,) = threads.behind(outgoing("broken"))
    threads.broker.open()
    assert type(broken.exception(DEADLINE)) is BrokenOffError
    threads.send(outgoing("next")).result(DEADLINE)
    senders = [nonce.sender for _, nonce in threads.broker.sends]
    assert senders[-1] != senders[-2]


def test_who_waits_too_long_for_another_goes_alone(threads_on, monkeypatch):
    monkeypatch.setattr("celeriac.app.gathering._PATIENCE", 0.01)
    threads = threads_on()
    first = held_up(threads)
    threads.send(outgoing("second")).result(DEADLINE)
    assert not first.done()
    threads.broker.open()
    first.result(DEADLINE)
    assert threads.broker.batches == [["first"], ["second"]]


def test_the_main_thread_waits_for_no_other(threads_on):
    threads = threads_on()
    first = held_up(threads)
    threads.publisher.send([outgoing("main")])
    assert not first.done()


def test_a_handler_of_a_signal_sends_in_the_middle_of_a_send(threads_on, spine):
    threads = threads_on()
    threads.broker.open()
    previous = signal.signal(signal.SIGUSR1, lambda *_: threads.publisher.send([outgoing("handler")]))
    try:
        threads.broker._plan.append(lambda _: os.kill(os.getpid(), signal.SIGUSR1))
        threads.publisher.send([outgoing("before")])
        threads.publisher.send([outgoing("main")])
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert sorted(drain(spine.app.broker)) == ["before", "handler", "main"]


def test_a_large_message_keeps_nobody_waiting(threads_on):
    threads = threads_on()
    first = held_up(threads)
    large = outgoing("large")
    message = type(large.message)(headers=large.message.headers, body=b" " * 100_000)
    threads.send(Outgoing(route=large.route, message=message)).result(DEADLINE)
    assert not first.done()


def test_a_send_in_a_task_keeps_nobody_waiting_and_waits_for_nobody(threads_on):
    threads = threads_on()
    first = held_up(threads)
    threads._pool.submit(threads.publisher.send, [outgoing("in task")], in_task=True).result(DEADLINE)
    assert not first.done()


class Numbered(BrokerBefore):
    """Stores a send once, by its nonce, and takes a moment on either side."""

    def __init__(self, inner) -> None:
        super().__init__(inner)
        self.stored: list[object] = []
        self._storing = threading.Lock()
        self._last: dict[str, int] = {}
        self._never = threading.Event()

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        assert nonce is not None
        self._never.wait(0.0002)
        with self._storing:
            if self._last.get(nonce.sender, 0) < nonce.number:
                self._last[nonce.sender] = nonce.number
                self.stored += [each.message.headers["n"] for each in outgoing]
        self._never.wait(0.0002)


def test_exceptions_thrown_into_threads_at_any_moment_harm_no_other_send(spine):
    """Half of the threads are struck again and again; every send that returned is stored, and none twice."""
    broker = Numbered(spine.app.broker)
    publisher = Publisher(lambda: broker, policy=PublishPolicy(), clock=SYSTEM_CLOCK)
    over = threading.Event()
    sent: list[tuple[int, int]] = []

    def some(thread: int, numbers: Iterator[int]) -> None:
        while not over.is_set():
            number = next(numbers)
            publisher.send([outgoing((thread, number))])
            sent.append((thread, number))

    def work(thread: int) -> None:
        numbers = itertools.count()
        while not over.is_set():
            with suppress(BrokenOffError):
                some(thread, numbers)

    def safely(thread: int) -> None:
        while not over.is_set():
            with suppress(BrokenOffError):  # between two of the other, too
                work(thread)

    working = [threading.Thread(target=safely, args=(number,), daemon=True) for number in range(8)]
    for thread in working:
        thread.start()
    pause = threading.Event()
    for strike in range(300):
        struck = ctypes.c_ulong(working[strike % 4].ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(struck, ctypes.py_object(BrokenOffError))
        pause.wait(0.001)
    over.set()
    for thread in working:
        thread.join(DEADLINE)
    assert not any(thread.is_alive() for thread in working)
    stored = Counter(broker.stored)
    assert [each for each in sent if stored[each] != 1] == []
    assert stored.most_common(1)[0][1] == 1


@can_fork
def test_a_child_does_not_wait_for_a_send_of_its_parent(threads_on):
    threads = threads_on()
    first = held_up(threads)
    threads.behind(outgoing("waits"))

    def child_sends() -> bool:
        sent = threading.Thread(target=threads.publisher.send, args=([outgoing("child")],), daemon=True)
        sent.start()
        sent.join(DEADLINE / 2)
        return not sent.is_alive() and threads.broker.batches[-1] == ["child"]

    assert holds_in_a_fork(child_sends)
    assert not first.done()


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_many_threads_lose_and_double_nothing(store, tmp_path: Path):
    url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/many.db"
    with Celeriac("many", broker=url, set_as_current=False) as app:

        @app.task(name="work", ignore_result=True)
        def work(thread: int, number: int) -> None:
            """Do nothing."""

        def send(thread: int) -> list[str]:
            return [work.delay(thread, number).id for number in range(50)]

        with ThreadPoolExecutor(12) as pool:
            ids = [each for batch in pool.map(send, range(12)) for each in batch]
        stored = []
        while got := app.broker.receive(["celery"], Terms(limit=1000, lease=30.0, owner="test"), wait=0.0):
            stored += [delivery.message.headers["id"] for delivery in got]
    assert len(stored) == len(ids)
    assert set(stored) == set(ids)
