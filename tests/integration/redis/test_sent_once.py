"""A send whose answer was lost is made again, and the message is there once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from redis import Redis

from celeriac import Celeriac
from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Nonce
from celeriac.interfaces.store import Store
from celeriac.wire import envelope
from tests.integration.redis.samples import broker_of, ids, outgoing, receive
from tests.servers.redis import RedisServer


class AnswersLost:
    """Forwards to a server, and hangs up in place of the answer to a script, as long as `to_lose` is above 0."""

    def __init__(self, port: int) -> None:
        self.to_lose = 0
        self.lost = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="answers-lost", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                asked = threading.Event()
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(near, far, asked), daemon=True).start()

    def _requests(self, near: socket.socket, far: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 20):
                if b"EVAL" in data:
                    asked.set()
                far.sendall(data)
        far.close()

    def _answers(self, near: socket.socket, far: socket.socket, asked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 20):
                if asked.is_set() and self.to_lose:
                    self.to_lose -= 1
                    self.lost += 1
                    break
                near.sendall(data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        near.close()


@pytest.fixture
def answers(redis_server: RedisServer) -> Iterator[AnswersLost]:
    between = AnswersLost(redis_server.port)
    yield between
    between.close()


@pytest.fixture
def app(answers: AnswersLost, prefix: str) -> Iterator[Celeriac]:
    url = f"redis://127.0.0.1:{answers.port}/0"
    app = Celeriac("once", broker=url, set_as_current=False, broker_transport_options={"global_keyprefix": prefix})
    app.broker.upkeep(limit=1)  # a node of ours is alive, so that delayed messages wait
    yield app
    answers.to_lose = 0
    app.close()


def stored(outside: Redis, *keys: str) -> Counter[str]:
    """Count the messages in lists, and in sorted sets of delayed ones, by id."""
    raw: list[bytes] = []
    for key in keys:
        if outside.type(key) == b"zset":
            raw += [member.split(b";", 2)[2] for member in outside.zrange(key, 0, -1)]
        else:
            raw += outside.lrange(key, 0, -1)
    return Counter(envelope.decode(one).message.headers["id"] for one in raw)


def test_a_call_whose_answer_was_lost_is_there_once(
    app: Celeriac, answers: AnswersLost, outside: Redis, prefix: str
) -> None:
    app.send_task("warm", task_id="warm")
    for number in range(10):
        answers.to_lose = number % 3
        app.send_task("work", task_id=str(number))
    assert answers.lost == 9
    assert stored(outside, f"{prefix}celery") == Counter(["warm", *map(str, range(10))])


def test_delayed_calls_whose_answer_was_lost_are_there_once(
    app: Celeriac, answers: AnswersLost, outside: Redis, prefix: str
) -> None:
    for number in range(5):
        answers.to_lose = 1
        app.send_task("work", task_id=str(number), countdown=60)
    assert answers.lost == 5
    assert stored(outside, f"{prefix}celeriac:delayed:celery") == Counter(map(str, range(5)))


def test_a_batch_whose_answers_were_lost_is_there_once(
    app: Celeriac, answers: AnswersLost, outside: Redis, prefix: str
) -> None:
    batch = [
        outgoing(number, queue="ab"[number % 2], priority=number % 7, after=4e9 if number % 5 == 0 else None)
        for number in range(1400)
    ]
    answers.to_lose = 2
    app.publisher.send(batch)
    assert answers.lost == 2
    keys = [key.decode() for queue in "ab" for key in outside.keys(f"{prefix}{queue}*")]
    keys += [f"{prefix}celeriac:delayed:{queue}" for queue in "ab"]
    assert stored(outside, *keys) == Counter(str(number) for number in range(1400))


def test_what_was_refused_is_stored_when_it_is_sent_again(store: Store, outside: Redis, prefix: str) -> None:
    broker, nonce = broker_of(store), Nonce("someone", 1)
    outside.set(f"{prefix}q", "in the way")
    for batch in ([outgoing(1)], [outgoing(1), outgoing(2)]):
        with pytest.raises(BrokerError, match="another program uses a key of this name"):
            broker.send(batch, nonce=nonce)
    outside.delete(f"{prefix}q")
    broker.send([outgoing(1), outgoing(2)], nonce=nonce)
    broker.send([outgoing(1), outgoing(2)], nonce=nonce)
    assert ids(receive(broker)) == ["1", "2"]


def test_a_send_that_comes_after_a_later_one_of_its_sender_is_stored_no_more(store: Store) -> None:
    broker = broker_of(store)
    broker.send([outgoing("later")], nonce=Nonce("someone", 10))
    broker.send([outgoing("late")], nonce=Nonce("someone", 9))
    broker.send([outgoing("later")], nonce=Nonce("someone", 10))
    broker.send([outgoing("another's")], nonce=Nonce("someone else", 9))
    assert ids(receive(broker)) == ["later", "another's"]


def test_what_is_remembered_of_a_sender_has_an_end(store: Store, outside: Redis, prefix: str) -> None:
    broker_of(store).send([outgoing(1), outgoing(2, queue="r"), outgoing(3, after=4e9)], nonce=Nonce("someone", 1))
    remembered = outside.keys(f"{prefix}celeriac:sent:*")
    assert len(remembered) == 3
    assert all(0 < outside.ttl(key) <= 120 for key in remembered)
