"""A message whose answer comes before its confirmation: the send is over then, and no later one is confirmed by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

import pytest

from celeriac import states
from celeriac.drivers.rabbitmq.address import parse
from celeriac.drivers.rabbitmq.connecting import Connector
from celeriac.drivers.rabbitmq.contents import Properties, write_properties
from celeriac.drivers.rabbitmq.inbox import Inbox
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.publishing import Post, Refused, publish
from celeriac.interfaces.results import ResultBackend, ResultRecord
from celeriac.interfaces.store import Store, StoreOptions
from celeriac.testing.conformance.samples import DEADLINE, QUEUE, receive
from celeriac.wire import results as wire
from celeriac.wire.results import TaskResult
from tests.faults.proxy import Proxy

SHORT = 0.2
"""Seconds in which a send that waits is seen to wait."""


@pytest.fixture
def links() -> Iterator[Callable[[str], Links]]:
    """Open connections to an address, each as one of a process of its own; they are closed after the test."""
    opened: list[Links] = []

    def open_one(url: str) -> Links:
        options = StoreOptions()
        opened.append(Links(Connector(parse(url, options), options), purpose="test"))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def proxy(node) -> Iterator[Proxy]:
    with Proxy(node.port) as proxy:
        yield proxy


@pytest.fixture
def sending(url, node, proxy, links) -> Links:
    """The connection that sends: it goes through the proxy, which can hold confirmations back."""
    return links(url.replace(str(node.port), str(proxy.port)))


@pytest.fixture
def hearing(url, links) -> Links:
    return links(url)


@pytest.fixture
def inbox(hearing) -> Inbox:
    made = Inbox(hearing, expires=60, most_bytes=1 << 20, patience=DEADLINE)
    made.address()
    return made


@pytest.fixture
def worker(url, open_store) -> Store:
    """Another process's store, with the queue that messages go to."""
    store = open_store(url)
    assert receive(store.broker, wait=0) == []
    return store


@pytest.fixture
def answer(worker, inbox) -> Callable[[str], None]:
    """Give a function that sends a task's result to the inbox, as its worker does."""

    def send(task_id: str) -> None:
        payload = wire.encode(TaskResult(task_id=task_id, state=states.SUCCESS, result=1))
        results: ResultBackend | None = worker.results
        assert results is not None
        results.store([ResultRecord(task_id, states.SUCCESS, payload, None, inbox.address())])

    return send


@pytest.fixture
def start(sending, inbox) -> Iterator[Callable[..., Future[Refused]]]:
    """Give a function that sends a task's message in a thread; a first one has gone, so that a channel is there."""
    publish(sending, [post("first")])
    with ThreadPoolExecutor() as threads:
        yield lambda task_id, queue=QUEUE: threads.submit(publish, sending, [post(task_id, queue)], answers=inbox)


def post(task_id: str, queue: str = QUEUE) -> Post:
    return Post("", queue, write_properties(Properties("application/json", "utf-8", {})), b"[]", task_id)


def test_a_send_is_over_when_its_answer_is_there(worker, start, answer, proxy):
    proxy.holds_answers = True
    sent = start("a")
    with pytest.raises(NotYet):
        sent.result(SHORT)
    answer("a")
    assert sent.result(DEADLINE) == Refused()


def test_the_confirmation_that_comes_later_is_not_taken_for_another_s(worker, start, answer, proxy):
    proxy.holds_answers = True
    sent = start("a")
    answer("a")
    assert sent.result(DEADLINE) == Refused()
    refused = start("b", queue="nobody's")
    proxy.holds_answers = False
    assert refused.result(DEADLINE) == Refused(unroutable=(0,))


def test_an_answer_of_before_proves_nothing(worker, start, answer, proxy, inbox):
    answer("a")
    while not inbox.fetch(["a"]):
        pass
    proxy.holds_answers = True
    sent = start("a")
    with pytest.raises(NotYet):
        sent.result(SHORT)
    proxy.holds_answers = False
    assert sent.result(DEADLINE) == Refused()


def test_another_task_s_answer_proves_nothing(worker, start, answer, proxy):
    proxy.holds_answers = True
    sent = start("a")
    answer("b")
    with pytest.raises(NotYet):
        sent.result(SHORT)
    proxy.holds_answers = False
    assert sent.result(DEADLINE) == Refused()


def test_without_the_connection_for_answers_the_confirmation_is_waited_for(worker, start, proxy, hearing, sending):
    proxy.holds_answers = True
    sent = start("a")
    with pytest.raises(NotYet):
        sent.result(SHORT)
    link = hearing.current
    assert link is not None
    link.transport.socket.shutdown(2)
    with pytest.raises(NotYet):
        sent.result(SHORT)
    proxy.holds_answers = False
    assert sent.result(DEADLINE) == Refused()
    assert sending.link().is_open


def test_who_waits_for_a_result_meanwhile_hears_of_it(worker, start, answer, proxy, inbox):
    """Its thread reads the connection for answers; the one that sends leaves that alone, and is told all the same."""
    waiter = inbox.waiter()
    inbox.join(waiter, ["b"])
    with ThreadPoolExecutor() as threads:
        heard = threads.submit(inbox.wait, waiter, time.monotonic() + DEADLINE)
        proxy.holds_answers = True
        sent = start("a")
        answer("a")
        assert sent.result(DEADLINE) == Refused()
        assert not heard.done()
        answer("b")
        assert list(heard.result(DEADLINE)) == ["b"]
