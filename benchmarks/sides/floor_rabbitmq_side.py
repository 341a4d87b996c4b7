"""The floor on RabbitMQ: frames written and read by the codec on one blocking socket, and nothing else.

A message is confirmed before `send` returns. A worker has a consumer that stays, decodes, calls, and in one write
publishes the results and acknowledges: what it holds goes back when it dies. Messages are Celery's, written slim, and
results go to a queue of the client's own. There are no leases, retries, limits, heartbeats nor anything else: this is a
bound, not a task queue.

    python floor_rabbitmq_side.py PROCESSES      starts workers
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import uuid
from collections import deque
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import work
from floor_side import start

from celeriac.drivers.rabbitmq.contents import (
    Properties,
    content_frames,
    publish_method,
    read_properties,
    write_properties,
)
from celeriac.drivers.rabbitmq.methods import BODY, HEADER, METHOD, method_frame, read_method

QUEUE = "floor"
BATCH = 100
PREFETCH = 200
FRAME_MAX = 131_072

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(tuple[list[Any], dict[str, Any], dict[str, Any]]).decode
decode_value = msgspec.json.Decoder().decode

_HEAD = struct.Struct(">BHI")
_TAG = struct.Struct(">Q")
_DELIVER = b"\x00\x3c\x00\x3c"
_ACK = b"\x00\x3c\x00\x50"


class Link:
    """A connection with one channel. What comes is put aside: messages as their tag, header and body."""

    def __init__(self) -> None:
        address = urlsplit(os.environ["BENCHMARK_URL"])
        self._socket = socket.create_connection((address.hostname or "127.0.0.1", address.port or 5672))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._answers: deque[str] = deque()
        self._tag, self._header = 0, b""
        self.arrivals: deque[tuple[int, bytes, bytes]] = deque()
        self.published = self.confirmed = 0
        vhost = unquote(address.path[1:]) or "/"
        self.write(b"AMQP\x00\x00\x09\x01")
        self._answer("connection.start")
        self.write(method_frame(0, "connection.start-ok", {}, "PLAIN", b"\x00guest\x00guest", "en_US"))
        self._answer("connection.tune")
        self.write(method_frame(0, "connection.tune-ok", 2047, FRAME_MAX, 0))
        self.write(method_frame(0, "connection.open", vhost, "", True))
        self._answer("connection.open-ok")
        self.call("channel.open", "")

    def write(self, frames: bytes) -> None:
        self._socket.sendall(frames)

    def call(self, name: str, *arguments: Any) -> None:
        self.write(method_frame(1, name, *arguments))
        self._answer(f"{name}-ok")

    def publish(self, messages: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Publish to queues by their names, given with properties and body; return when all are confirmed."""
        frames: list[bytes] = []
        for queue, properties, body in messages:
            method = publish_method("", queue, mandatory=False)
            frames += content_frames(1, method, properties, body, FRAME_MAX)
            self.published += 1
        self.write(b"".join(frames))
        while self.confirmed < self.published:
            self.read()

    def read(self) -> None:
        """Wait for more, and take it in."""
        data = self._rest + self._socket.recv(262_144)
        at, size = 0, len(data)
        while size - at > 7:
            kind, _, length = _HEAD.unpack_from(data, at)
            end = at + 7 + length
            if end >= size:
                break
            self._take(kind, data[at + 7 : end])
            at = end + 1
        self._rest = data[at:]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == BODY:
            self.arrivals.append((self._tag, self._header, payload))
        elif kind == HEADER:
            self._header = payload
        elif kind == METHOD and payload[:4] == _DELIVER:
            (self._tag,) = _TAG.unpack_from(payload, 5 + payload[4])
        elif kind == METHOD and payload[:4] == _ACK:
            (self.confirmed,) = _TAG.unpack_from(payload, 4)
        elif kind == METHOD:
            self._answers.append(read_method(payload).name)

    def _answer(self, name: str) -> None:
        while not self._answers:
            self.read()
        assert self._answers.popleft() == name


# -- the client -----------------------------------------------------------------------------------------------------

_link: Link | None = None
_replies: Link | None = None
_inbox = str(uuid.uuid4())
_found: dict[str, bytes] = {}


def link() -> Link:
    global _link
    if _link is None:
        _link = Link()
        _link.call("queue.declare", 0, QUEUE, False, True, False, False, False, {})
        _link.call("confirm.select", False)
    return _link


def replies() -> Link:
    global _replies
    if _replies is None:
        _replies = Link()
        _replies.call("queue.declare", 0, _inbox, False, False, True, True, False, {})
        _replies.call("basic.consume", 0, _inbox, "inbox", False, True, False, False, {})
    return _replies


def message(task: str, value: Any, *, reply_to: str | None = None) -> tuple[str, tuple[str, bytes, bytes]]:
    task_id = str(uuid.uuid4())
    headers = {"lang": "py", "task": task, "id": task_id}
    properties = Properties(
        "application/json", "utf-8", headers, delivery_mode=2, correlation_id=task_id, reply_to=reply_to
    )
    return task_id, (QUEUE, write_properties(properties), encode(((value,), {}, {})))


def sender(task: str) -> Any:
    def send(value: Any) -> None:
        link().publish([message(task, value)[1]])

    return send


def send_many(task: str, values: Iterable[Any]) -> None:
    _publish([message(task, value)[1] for value in values])


def call(number: int) -> str:
    replies()
    task_id, written = message("echo", number, reply_to=_inbox)
    link().publish([written])
    return task_id


def call_many(numbers: Iterable[int]) -> list[str]:
    replies()
    written = [message("echo", number, reply_to=_inbox) for number in numbers]
    _publish([each for _, each in written])
    return [task_id for task_id, _ in written]


def read(handle: str) -> Any:
    while handle not in _found:
        own = replies()
        if not own.arrivals:
            own.read()
        while own.arrivals:
            _, header, body = own.arrivals.popleft()
            _found[read_properties(header)[1].correlation_id or ""] = body
    return decode_value(_found.pop(handle))


def read_all(handles: list[str]) -> list[Any]:
    return [read(handle) for handle in handles]


def versions() -> dict[str, str]:
    return {"msgspec": version("msgspec")}


def _publish(messages: list[tuple[str, bytes, bytes]]) -> None:
    for begin in range(0, len(messages), BATCH):
        link().publish(messages[begin : begin + BATCH])


# -- the worker -----------------------------------------------------------------------------------------------------


def noop(value: Any) -> None:
    """Do nothing."""


def echo(number: int) -> int:
    return number


TASKS = {"noop": noop, "echo": echo, "burn": work.burn}
_TRANSIENT = Properties("application/json", "utf-8", {}, delivery_mode=1)


def serve(place: str) -> None:
    own = Link()
    own.call("queue.declare", 0, QUEUE, False, True, False, False, False, {})
    own.call("basic.qos", 0, PREFETCH, False)
    own.call("basic.consume", 0, QUEUE, place, False, False, False, False, {})
    while True:
        if not own.arrivals:  # some may have come before the answer to the last call
            own.read()
        frames: list[bytes] = []
        tag = 0
        while own.arrivals:
            tag, header, body = own.arrivals.popleft()
            frames += run(header, body)
        if tag:
            frames.append(method_frame(1, "basic.ack", tag, True))
            own.write(b"".join(frames))


def run(header: bytes, body: bytes) -> Iterable[bytes]:
    properties = read_properties(header)[1]
    headers = properties.headers or {}
    args, kwargs, _ = decode(body)
    value = TASKS[headers["task"]](*args, **kwargs)
    if properties.reply_to is None:
        return ()
    told = write_properties(msgspec.structs.replace(_TRANSIENT, correlation_id=properties.correlation_id))
    method = publish_method("", properties.reply_to, mandatory=False)
    return content_frames(1, method, told, encode(value), FRAME_MAX)


if __name__ == "__main__":
    start(int(sys.argv[1]), serve)
