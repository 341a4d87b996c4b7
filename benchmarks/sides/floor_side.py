"""The floor: what any Python program pays that keeps tasks in Redis and loses none to a crash.

A message is Celery's envelope, written slim. A worker takes up to 100 by a script that puts them into a hash of held
messages in the same step, decodes, calls, and in one pipeline stores the results, removes what it held and takes the
next. An idle worker moves the next message to a list of its own. There are no leases, retries, limits, logs, options,
nor anything else: this is a bound, not a task queue.

    python floor_side.py PROCESSES      starts workers
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import msgspec
import work
from msgspec import Struct
from redis.connection import Connection

QUEUE, HELD, RESULT = "floor:queue", "floor:held", "floor:result:"
BATCH = 100
KEPT_MS = 3_600_000

TAKE = """
local taken = redis.call('RPOP', KEYS[1], ARGV[1])
if not taken then return {} end
local entries = {}
for i, envelope in ipairs(taken) do
  entries[2 * i - 1], entries[2 * i] = ARGV[2] .. i, envelope
end
redis.call('HSET', KEYS[2], unpack(entries))
return taken
"""


class Headers(Struct):
    """Who is called."""

    task: str
    id: str
    ignore_result: bool = False
    lang: str = "py"


class Envelope(Struct):
    """Celery's, with only what a reader needs."""

    body: str
    headers: Headers
    properties: dict[str, Any]
    content_type: str = msgspec.field(name="content-type", default="application/json")
    content_encoding: str = msgspec.field(name="content-encoding", default="utf-8")


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Envelope).decode
decode_body = msgspec.json.Decoder(tuple[list[Any], dict[str, Any], dict[str, Any]]).decode
decode_value = msgspec.json.Decoder().decode


class Server:
    """One connection that sends many commands at once."""

    def __init__(self) -> None:
        address = urlsplit(os.environ["BENCHMARK_URL"])
        self._connection = Connection(host=address.hostname or "127.0.0.1", port=address.port or 6379)
        self._connection.connect()

    def ask(self, *commands: Sequence[Any]) -> list[Any]:
        connection = self._connection
        pack = connection.pack_command
        connection.send_packed_command([b"".join([part for command in commands for part in pack(*command)])])
        return [connection.read_response() for _ in commands]


# -- the client -----------------------------------------------------------------------------------------------------

_server: Server | None = None


def server() -> Server:
    global _server
    if _server is None:
        _server = Server()
    return _server


def message(task: str, value: Any, *, ignore_result: bool = False) -> tuple[str, bytes]:
    task_id = str(uuid.uuid4())
    body = encode(((value,), {}, {})).decode()
    properties = {"delivery_info": {"exchange": "", "routing_key": QUEUE}, "delivery_tag": task_id}
    return task_id, encode(Envelope(body, Headers(task, task_id, ignore_result), properties))


def sender(task: str) -> Callable[[Any], None]:
    def send(value: Any) -> None:
        server().ask(("LPUSH", QUEUE, message(task, value, ignore_result=task != "echo")[1]))

    return send


def send_many(task: str, values: Iterable[Any]) -> None:
    _push([message(task, value, ignore_result=task != "echo")[1] for value in values])


def call(number: int) -> str:
    task_id, envelope = message("echo", number)
    server().ask(("LPUSH", QUEUE, envelope))
    return task_id


def call_many(numbers: Iterable[int]) -> list[str]:
    messages = [message("echo", number) for number in numbers]
    _push([envelope for _, envelope in messages])
    return [task_id for task_id, _ in messages]


def read(handle: str) -> Any:
    return decode_value(server().ask(("BLPOP", RESULT + handle, 60))[0][1])


def read_all(handles: list[str]) -> list[Any]:
    values: list[Any] = []
    for start in range(0, len(handles), BATCH):
        replies = server().ask(*(("BLPOP", RESULT + handle, 60) for handle in handles[start : start + BATCH]))
        values.extend(decode_value(payload) for _, payload in replies)
    return values


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("redis", "hiredis", "msgspec")}


def _push(envelopes: list[bytes]) -> None:
    for start in range(0, len(envelopes), BATCH):
        server().ask(("LPUSH", QUEUE, *envelopes[start : start + BATCH]))


# -- the worker -----------------------------------------------------------------------------------------------------


def noop(value: Any) -> None:
    """Do nothing."""


def echo(number: int) -> int:
    return number


TASKS = {"noop": noop, "echo": echo, "burn": work.burn}


def serve(place: str) -> None:
    connection = Server()
    take = connection.ask(("SCRIPT", "LOAD", TAKE))[0]
    mine, trip, done = f"{HELD}:{place}", 0, []
    while True:
        trip += 1
        prefix = f"{place}.{trip}."
        replies = connection.ask(*done, ("EVALSHA", take, 2, QUEUE, HELD, BATCH, prefix))
        taken, tags = replies[-1], True
        if not taken:
            one = connection.ask(("BLMOVE", QUEUE, mine, "RIGHT", "LEFT", 1))[0]
            taken, tags = ([one], False) if one else ([], False)
        done = []
        for envelope in taken:
            run(envelope, done)
        if tags:
            done.append(("HDEL", HELD, *(f"{prefix}{number}" for number in range(1, len(taken) + 1))))
        elif taken:
            done.append(("DEL", mine))


def run(envelope: bytes, done: list[Sequence[Any]]) -> None:
    read_envelope = decode(envelope)
    headers = read_envelope.headers
    args, kwargs, _ = decode_body(read_envelope.body)
    value = TASKS[headers.task](*args, **kwargs)
    if not headers.ignore_result:
        key = RESULT + headers.id
        done.append(("RPUSH", key, encode(value)))
        done.append(("PEXPIRE", key, KEPT_MS))


def start(processes: int, serve: Callable[[str], None]) -> None:
    """Fork so many processes that serve until SIGTERM."""
    children = []
    for place in range(1, processes + 1):
        child = os.fork()
        if child == 0:
            serve(str(place))
        children.append(child)

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    start(int(sys.argv[1]), serve)
