"""Results by `rpc://`: real workers and clients, and what happens to the queues of those that end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celeriac import Celeriac, group, states
from celeriac.drivers import load
from celeriac.exceptions import BackendError, ImproperlyConfigured, TimeLimitExceeded
from celeriac.interfaces.results import Mailbox, ResultBackend, ResultRecord
from celeriac.interfaces.store import StoreOptions
from celeriac.wire import results as wire
from celeriac.wire.results import TaskResult
from tests.integration.worker.node import until
from tests.integration.worker.place import Place
from tests.servers.rabbitmq import RabbitServer

pytestmark = pytest.mark.timeout(60)

TASKS = """
    import os, time
    from celeriac import Celeriac

    app = Celeriac("calc", task_track_started=True)

    @app.task
    def add(x, y):
        return x + y

    @app.task
    def fail():
        raise ValueError("no", 3)

    @app.task(bind=True)
    def climb(self, path):
        self.update_state(state="PROGRESS", meta={"done": 1})
        while not os.path.exists(path):
            time.sleep(0.01)
        return "up"

    @app.task(time_limit=1)
    def endless():
        while True:
            time.sleep(60)
"""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> Iterator[Place]:
    made = Place(tmp_path, broker_url=url, transport={})
    made.write("calc", TASKS)
    yield made
    made.leave()
    request.node.add_report_section("teardown", "workers", made.report())


@pytest.fixture
def backend(url: str) -> Iterator[Callable[..., ResultBackend]]:
    """Open result stores, each of which stands for a process; they are closed after the test."""
    opened: list[ResultBackend] = []

    def open_one(**transport: object) -> ResultBackend:
        results = load(url, StoreOptions(transport_options=transport)).results
        assert results is not None
        opened.append(results)
        return results

    yield open_one
    for results in opened:
        results.close()


@pytest.fixture
def queues(node: RabbitServer, url: str) -> Callable[[], str]:
    """List the queues of the virtual host, as Erlang writes them."""
    vhost = url.rsplit("/", 1)[1]
    return lambda: node.call("rabbit_amqqueue", "list_names", f'<<"{vhost}">>')


def mailbox(backend: ResultBackend) -> Mailbox:
    assert backend.mailbox is not None
    return backend.mailbox


def record(task_id: str, to: str | None, state: str = states.SUCCESS, value: object = None) -> ResultRecord:
    payload = wire.encode(TaskResult(task_id=task_id, state=state, result=value))
    return ResultRecord(task_id, state, payload, None, to)


def test_results_and_errors_come_to_who_sent_the_task(place):
    place.worker(app="calc")
    client = place.client()
    assert client.send_task("calc.add", (1, 2)).get(timeout=20) == 3
    with pytest.raises(ValueError, match="no") as caught:
        client.send_task("calc.fail").get(timeout=20)
    assert caught.value.args == ("no", 3)
    many = client.send_task("calc.add", (1, 1)), client.send_task("calc.add", (2, 2))
    assert [result.get(timeout=20) for result in reversed(many)] == [4, 2]


def test_states_on_the_way_are_seen(place, tmp_path):
    place.worker(app="calc")
    result = place.client().send_task("calc.climb", (str(tmp_path / "go"),))
    until(lambda: result.state == "PROGRESS")
    assert result.info == {"done": 1}
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == "up"


def test_threads_and_coroutines_wait_on_one_connection(place):
    place.worker(app="calc", ready=False)
    client = place.client()
    sent = [client.send_task("calc.add", (number, 0)) for number in range(60)]
    values: dict[int, int] = {}

    def wait(number: int) -> None:
        values[number] = sent[number].get(timeout=30)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()

    async def wait_all() -> list[int]:
        return await asyncio.gather(*(result.aget(timeout=30) for result in sent[30:]))

    assert asyncio.run(wait_all()) == list(range(30, 60))
    for thread in threads:
        thread.join()
    assert values == {number: number for number in range(30)}


def test_coroutines_send_and_wait_without_blocking_their_loop(place):
    place.worker(app="calc")
    client = place.client()

    @client.task(name="calc.add")
    def add(x: int, y: int) -> int: ...

    async def call(number: int) -> int:
        return await (await add.adelay(number, number)).aget(timeout=30)

    async def call_all() -> list[int]:
        return await asyncio.gather(*(call(number) for number in range(20)))

    assert asyncio.run(call_all()) == [2 * number for number in range(20)]


def test_coroutines_that_want_no_result_need_no_thread_to_send(place):
    client = place.client()

    @client.task(name="calc.add", ignore_result=True)
    def add(x: int, y: int) -> int: ...

    async def send() -> list[str]:
        await asyncio.gather(*(add.adelay(number, number) for number in range(20)))
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("asyncio")]

    assert asyncio.run(send()) == []
    assert client.broker.stats(["celery"])["celery"].ready == 20


def test_a_forked_child_has_results_of_its_own(place):
    place.worker(app="calc")
    client = place.client()
    assert client.send_task("calc.add", (1, 2)).get(timeout=20) == 3
    waiting = client.send_task("calc.add", (3, 4))
    child = os.fork()
    if not child:
        try:
            os._exit(client.send_task("calc.add", (30, 2)).get(timeout=20))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 32
    assert waiting.get(timeout=20) == 7


def test_a_group_and_a_chain_end_in_the_queue_of_who_sent_it(place):
    place.worker(app="calc")
    client = place.client()
    add = client.signature("calc.add", (1, 1))
    members = group(client.signature("calc.add", (n, n)) for n in range(5)).apply_async()
    assert members.get(timeout=20) == [0, 2, 4, 6, 8]
    chain = add | client.signature("calc.add", (10,)) | client.signature("calc.add", (100,))
    assert chain.apply_async().get(timeout=20) == 112


def test_what_cannot_be_counted_names_the_setting(place):
    client = place.client()
    header = group(client.signature("calc.add", (n, n)) for n in range(2))
    with pytest.raises(ImproperlyConfigured, match="result_backend"):
        (header | client.signature("calc.add")).apply_async()


def test_a_process_that_sent_nothing_is_told_that_it_cannot_read(place):
    task_id = place.client().send_task("calc.add", (1, 2)).id
    with pytest.raises(ImproperlyConfigured, match="result_backend"):
        place.client().AsyncResult(task_id).get(timeout=5)
    with pytest.raises(ImproperlyConfigured, match="result_backend"):
        _ = place.client().AsyncResult(task_id).state


def test_a_task_that_is_ended_for_its_time_limit_has_failed(place):
    place.worker(app="calc")
    with pytest.raises(TimeLimitExceeded):
        place.client().send_task("calc.endless").get(timeout=30)


def test_rpc_needs_a_broker_that_sends_results(tmp_path):
    app = Celeriac("other", broker=f"sqlite:///{tmp_path / 'file.db'}", backend="rpc://")
    with pytest.raises(ImproperlyConfigured, match="rpc://"):
        _ = app.results


def test_a_result_that_nobody_wants_blocks_nobody(backend):
    worker = backend()
    worker.store([record("a", None), record("b", "a queue that is gone")])


def test_an_end_stays_an_end(backend):
    client, worker = backend(), backend()
    to = mailbox(client).address()
    worker.store([record("a", to, value=1), record("a", to, states.STARTED), record("b", to)])
    listener = client.listen(["b"])
    assert set(listener.get(timeout=10)) == {"b"}
    listener.close()
    assert wire.state_of(client.fetch(["a"])["a"]) == states.SUCCESS
    client.forget(["a"])
    assert client.fetch(["a"]) == {}


def test_what_nobody_asked_for_is_kept_within_bounds(backend, caplog):
    client, worker = backend(rpc_max_bytes=100_000), backend()
    to = mailbox(client).address()
    listener = client.listen(["first", "last"])
    ids = ["first", *map(str, range(200)), "last"]
    worker.store([record(task_id, to, value="x" * 1000) for task_id in ids])
    heard: set[str] = set()
    while heard != {"first", "last"}:
        found = listener.get(timeout=10)
        assert found
        heard |= set(found)
    kept = client.fetch(ids)
    assert {"first", "last", "199"} <= set(kept)
    assert 20 < len(kept) < 100
    assert "rpc_max_bytes" in caplog.text


def test_waiting_goes_on_through_a_lost_connection(backend, node):
    client, worker = backend(), backend()
    to = mailbox(client).address()
    heard: dict[str, bytes] = {}
    listener = client.listen(["a"])
    waiting = threading.Thread(target=lambda: heard.update(listener.get(timeout=20)))
    waiting.start()
    node.control("close_all_connections", "--global", "a test")
    until(lambda: _stores(worker, record("a", to)))
    waiting.join()
    assert set(heard) == {"a"}


def _stores(worker: ResultBackend, what: ResultRecord) -> bool:
    try:
        worker.store([what])
    except BackendError:
        return False
    return True


def test_closing_removes_the_queue_and_wakes_who_waits(backend, queues):
    client = backend()
    to = mailbox(client).address()
    assert to in queues()
    errors: list[Exception] = []
    listener = client.listen(["a"])

    def wait() -> None:
        try:
            listener.get(timeout=30)
        except BackendError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)  # it may wait by then; either way it is told
    client.close()
    waiting.join(10)
    assert len(errors) == 1
    until(lambda: to not in queues())


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 9)"], ids=["ends", "dies"])
def test_no_queue_stays_behind_a_process_that(url, end, queues):
    program = f"""
        import os
        from celeriac import Celeriac
        app = Celeriac("short", broker={url!r}, broker_transport_options={{"rpc_queue_expires": 1}})
        app.send_task("nothing")
        print(app.results.mailbox.address(), flush=True)
        {end}
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    to = ran.stdout.strip()
    assert len(to) == 36, ran.stderr
    until(lambda: to not in queues())
