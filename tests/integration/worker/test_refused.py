"""Messages that cannot be tasks here: dead letters with a reason, answers where an id is known, a living worker."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from celeriac.exceptions import InvalidTaskError, NotRegistered
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.wire.message import Message
from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 10.0


def headers(task_id: str, **more: object) -> dict[str, object]:
    return {"lang": "py", "task": "shop.add", "id": task_id, **more}


def send_raw(place: Place, message: Message) -> None:
    place.app.broker.send([Outgoing(route=Route(queue="celery", routing_key="celery"), message=message)])


def lives(place: Place, dead: int) -> None:
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
    until(lambda: place.stats().dead == dead, f"{dead} dead letters")
    until(lambda: place.stats().leased == 0, "nothing held")
    assert place.stats().ready == 0


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_an_unknown_task_is_a_dead_letter_and_a_failure(place: Place, pool: str) -> None:
    worker = place.worker("-P", pool, "-c", "1")
    result = place.send("nobody_knows_me")
    with pytest.raises(NotRegistered):
        result.get(timeout=WAIT)
    lives(place, dead=1)
    assert f"shop.nobody_knows_me[{result.id}]" in worker.log
    assert "Did you import" in worker.log


def test_an_unknown_task_may_wait_for_a_worker_that_knows_it(place: Place) -> None:
    ignorant = place.worker("-c", "1", "--", "task_unknown_policy=wait")
    result = place.app.send_task("other.task")
    until(lambda: place.stats().delayed == 1, "the rest of the unknown task")
    assert ignorant.terminate() == 0
    assert result.state == "PENDING"
    assert place.stats().dead == 0


UNREADABLE = {
    "pickle": Message(headers("pickle"), b"\x80\x05N.", content_type="application/x-python-serialize"),
    "yaml": Message(headers("yaml"), b"[[1, 2], {}, {}]", content_type="application/x-yaml"),
    "nobody's": Message(headers("nobody's"), b"?", content_type="application/x-nobody"),
    "no json": Message(headers("no json"), b"[[1, 2], {}"),
    "no arguments": Message(headers("no arguments"), b'"text"'),
    "deep": Message(headers("deep"), b"[" * 100_000 + b"]" * 100_000),
    "no body": Message(headers("no body"), b""),
    "bad expiry": Message(headers("bad expiry", expires="when hell freezes"), b"[[1, 2], {}, {}]"),
    "bad eta": Message(headers("bad eta", eta={"some": "thing"}), b"[[1, 2], {}, {}]"),
    "bad retries": Message(headers("bad retries", retries="many"), b"[[1, 2], {}, {}]"),
    "bomb": Message(headers("bomb", compression="application/x-gzip"), b"not gzip at all"),
}


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_what_cannot_be_read_is_answered_by_its_id(place: Place, pool: str) -> None:
    worker = place.worker("-P", pool, "-c", "1")
    for message in UNREADABLE.values():
        send_raw(place, message)
    for what in UNREADABLE:
        with pytest.raises(InvalidTaskError):
            place.app.AsyncResult(what).get(timeout=WAIT)
        assert f"refused (task shop.add, id {what})" in worker.log
    lives(place, dead=len(UNREADABLE))


def test_a_message_without_name_or_id_is_a_dead_letter(place: Place, store: str) -> None:
    place.worker("-P", "solo")
    send_raw(place, Message({}, b"[[], {}, {}]"))
    send_raw(place, Message({"task": "shop.add"}, b"[[], {}, {}]"))
    send_raw(place, Message({"task": 7, "id": ["x"]}, b"[[], {}, {}]"))
    send_raw(place, Message({"task": "half a character: \ud800", "id": "odd"}, b"[[], {}, {}]"))
    if store != "rabbitmq":  # AMQP has no half characters: there it arrives as text that can be an id
        send_raw(place, Message({"task": "shop.add", "id": "half a character: \ud800"}, b"[[], {}, {}]"))
    lives(place, dead=4 if store == "rabbitmq" else 5)
    assert place.app.AsyncResult("odd").state == "FAILURE"


RAW = [
    b"no message at all",
    b"\xff\xfe\x00",
    b"{}",
    b"[]",
    b"null",
    json.dumps({"body": 1, "headers": 2}).encode(),
    b"",
]


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_bytes_that_are_no_message_are_dead_letters(make_place, pool: str) -> None:
    place = make_place("redis")
    prefix = place.transport["global_keyprefix"]
    outside = place.redis()
    for raw in RAW:
        outside.lpush(f"{prefix}celery", raw)
    place.worker("-P", pool, "-c", "2")
    lives(place, dead=len(RAW))


def test_rows_that_are_no_message_are_dead_letters(sqlite_place: Place) -> None:
    sqlite_place.app.broker.connect()
    with closing(sqlite3.connect(sqlite_place.directory / "celeriac.db")) as connection, connection:
        for raw in RAW:
            connection.execute(
                "INSERT INTO messages (queue, state, urgency, due, payload) VALUES ('celery', 0, 0, 0, ?)", (raw,)
            )
    sqlite_place.worker("-c", "2")
    lives(sqlite_place, dead=len(RAW))


@pytest.mark.parametrize("queue", ["unacked", "_kombu.binding.celery", "occupied"])
def test_a_retry_in_a_queue_that_cannot_be_is_a_failure_and_holds_up_no_other(make_place, queue: str) -> None:
    """The first two are refused when they are asked for; that the third is another program's only the server knows."""
    place = make_place("redis")
    place.redis().hset(place.transport["global_keyprefix"] + "occupied", "somebody's", "own")
    worker = place.worker("-c", "1")
    result = place.send("retry_in", queue)
    others = [place.send("add", number, 1) for number in range(20)]
    assert [other.get(timeout=WAIT) for other in others] == list(range(1, 21))
    until(lambda: place.send("add", 1, 1).get(timeout=WAIT) == 2 and result.state == "FAILURE", "the failure")
    assert queue in str(result.result) or "WRONGTYPE" in str(result.result)
    lives(place, dead=1 if queue == "occupied" else 0)
    assert worker.terminate() == 0, worker.log
