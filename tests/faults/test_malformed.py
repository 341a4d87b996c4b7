"""Messages of 20 broken kinds put straight into a queue: dead letters with a reason, and the good ones are done."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest

from celeriac.interfaces.broker import Outgoing, Route
from celeriac.wire.message import Message
from tests.faults.conftest import QUEUE_TYPES, Scale
from tests.faults.trouble import FaultPlace
from tests.integration.worker.node import until
from tests.servers.rabbitmq import RabbitServer

WAIT = 30.0
ARGUMENTS = b"[[1], {}, {}]"
BYTES = {
    "no json": b"no message at all",
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "other types": json.dumps({"body": 1, "headers": 2}).encode(),
    "cut short": b'{"body": "W1sx',
}
"""Kinds that are no message."""


def messages(trap: str) -> dict[str, Message]:
    """Return the kinds that are messages. Whoever runs their code makes the file `trap`."""
    pickled = f"cos\nsystem\n(S'touch {trap}'\ntR.".encode()
    yaml = f'!!python/object/apply:os.system ["touch {trap}"]'.encode()

    def of(what: str, body: bytes = ARGUMENTS, content_type: str = "application/json", **more: object) -> Message:
        headers = {"lang": "py", "task": "trouble.work", "id": what, **more}
        return Message(headers, body, content_type=content_type)

    return {
        "pickle": of("pickle", pickled, "application/x-python-serialize"),
        "yaml": of("yaml", yaml, "application/x-yaml"),
        "nobody's type": of("nobody's type", b"?", "application/x-nobody"),
        "broken body": of("broken body", b"[[1, 2], {}"),
        "no arguments": of("no arguments", b'"text"'),
        "deep": of("deep", b"[" * 100_000 + b"]" * 100_000),
        "no body": of("no body", b""),
        "bad expiry": of("bad expiry", expires="some day"),
        "bad eta": of("bad eta", eta={"some": "thing"}),
        "bad retries": of("bad retries", retries="many"),
        "a bomb": of("a bomb", b"not gzip at all", compression="application/x-gzip"),
        "unknown task": of("unknown task", task="os.system"),
    }


@pytest.fixture
def put_bytes(request: pytest.FixtureRequest, place: FaultPlace, store: str) -> Callable[[bytes], None]:
    """Return a function that puts bytes into the queue past every check of ours."""

    def put_into_redis(raw: bytes) -> None:
        with place.redis() as outside:
            outside.lpush(f"{place.transport['global_keyprefix']}celery", raw)

    def put_into_sqlite(raw: bytes) -> None:
        with closing(sqlite3.connect(place.directory / "celeriac.db")) as connection, connection:
            connection.execute(
                "INSERT INTO messages (queue, state, urgency, due, payload) VALUES ('celery', 0, 0, 0, ?)", (raw,)
            )

    if store in QUEUE_TYPES:
        node: RabbitServer = request.getfixturevalue("node")
        vhost = request.getfixturevalue("rabbitmq_vhost").rpartition("/")[2]
        return partial(node.put, vhost, "celery")
    return put_into_redis if store == "redis" else put_into_sqlite


def test_malformed_messages_become_dead_letters_and_the_good_ones_are_done(
    place: FaultPlace, put_bytes: Callable[[bytes], None], scale: Scale, chance: random.Random, figures
) -> None:
    trap = place.directory / "trapped"
    kinds: list[bytes | Message] = [*BYTES.values(), *messages(str(trap)).values()]
    assert len(kinds) == 20
    bad = kinds * scale.of(2, 25)
    chance.shuffle(bad)
    wanted = place.send_work(1)  # which makes the queue
    for each in bad:
        if isinstance(each, bytes):
            put_bytes(each)
        else:
            place.app.broker.send([Outgoing(route=Route(queue="celery", routing_key="celery"), message=each)])
        wanted |= place.send_work(2, first=len(wanted))
    worker = place.node()
    engines = worker.engines()
    until(lambda: place.stats().dead == len(bad), f"{len(bad)} dead letters", deadline=WAIT)
    place.until_ended(wanted, deadline=WAIT)
    letters = list(place.app.dead_letters.list())
    figures(tasks=len(wanted), malformed=len(bad), dead=len(letters), lost=0)
    assert len(letters) == len(bad)
    assert all(letter.reason for letter in letters)
    assert not trap.exists(), "the code of a message was run"
    assert place.ledger.repeated("end") == {}
    assert worker.engines() == engines, "an engine was lost"
    assert worker.terminate() == 0, worker.log
