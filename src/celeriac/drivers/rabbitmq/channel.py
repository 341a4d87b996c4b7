"""A channel of a connection: calls and their answers, messages that are put together from frames."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from sys import intern
from typing import Any, Final

from msgspec import Struct

from celeriac.drivers.rabbitmq.contents import body_size
from celeriac.drivers.rabbitmq.errors import ChannelClosed, LinkLost, NoAnswer, WireError
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.methods import HEADER, METHOD, Method, method_frame, read_method

__all__ = ["Arrival", "Channel", "Confirm", "Standing"]

_DELIVER: Final = b"\x00\x3c\x00\x3c"
_GET_OK: Final = b"\x00\x3c\x00\x47"
_GET_EMPTY: Final = b"\x00\x3c\x00\x48"
_RETURN: Final = b"\x00\x3c\x00\x32"
_ACK: Final = b"\x00\x3c\x00\x50"
_NACK: Final = b"\x00\x3c\x00\x78"
_U64: Final = struct.Struct(">Q")


class Arrival(Struct):
    """A message that came: `header` is the payload of its header's frame (see `contents.read_properties`).

    `consumer` is the tag of the consumer it is for, empty for an answer to ``basic.get``.
    """

    consumer: str
    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    header: bytes
    body: bytes


class Confirm(Struct, frozen=True):
    """The server has this message of ours, or all up to it; or not, when it `is_refused`."""

    number: int
    multiple: bool
    is_refused: bool


class Standing(Struct):
    """The consumer of the last wait, with room for one message: whether it goes on is up to who settles that.

    `number` is that of the delivery which fills it; 0 while it has room. A full one lingers, see `Channel.lingering`.
    """

    consumer: str
    queue: str
    mark: str
    number: int


class Returned(Struct, frozen=True):
    """A message of ours that no queue takes."""

    exchange: str
    routing_key: str


class Channel:
    """Used by one thread at a time; what comes is put aside by whichever reads the connection.

    Raises `ChannelClosed` when the server refuses something, and the channel is of no use any more then; `LinkLost` kin
    when the connection is lost.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.arrivals: deque[Arrival] = deque()
        self.confirms: deque[Confirm] = deque()
        self.returned: list[Returned] = []
        self.cancelled: list[str] = []
        """Tags of consumers that the server has ended, since their queue was deleted, or has moved to another node."""
        self.lingering: dict[str, str] = {}
        """Consumers that have no room for more, by their tags: the queue to go on with (see `ending`), or nothing."""
        self.standing: Standing | None = None
        """The consumer that may go on when what fills it is settled."""
        self.settled: set[str] = set()
        """Quorum queues that something was settled of: to be asked something before the connection ends."""
        self.room = 0
        """The most that the next consumer is given and has not settled."""
        self._unasked: deque[None] = deque()  # one for each answer that nobody waits for
        self.failure: WireError | None = None
        self.published = 0
        """How many messages were sent on it, where the server confirms them."""
        self.empties = 0
        """How often ``basic.get`` found nothing."""
        self.on_arrival: Callable[[], None] | None = None
        self._answers: deque[Method] = deque()
        self._coming: Arrival | Returned | None = None
        self._header = b""
        self._left = 0
        self._pieces: list[bytes] = []
        self.number = link.add(self)
        self.call("channel.open", "")

    @property
    def is_open(self) -> bool:
        return self.failure is None

    @property
    def serves(self) -> bool:
        """Whether it is open, so is its connection, and the server has ended none of its consumers."""
        return self.failure is None and self.link.failure is None and not self.cancelled

    def call(self, name: str, *arguments: Any) -> Method:
        """Ask the server and return its answer."""
        self.send(method_frame(self.number, name, *arguments))
        return self.answer(f"{name}-ok")

    def send(self, frames: bytes) -> None:
        """Write whole frames of this channel."""
        if self.failure is not None:
            raise self.lost()
        self.link.send(frames)

    def answer(self, name: str, *, patience: float | None = None) -> Method:
        """Wait for the answer of this name, for `patience` seconds where that is not as long as for any."""
        self.wait(lambda: bool(self._answers), name, patience)
        method = self._answers.popleft()
        if method.name != name:
            raise LinkLost(f"the server answered {method.name} where {name} was due")
        return method

    def wait(self, ready: Callable[[], bool], what: str, patience: float | None = None) -> None:
        """Wait until `ready`, for as long as an answer may take."""
        patience = patience or self.link.timeout
        if not self.wait_until(ready, time.monotonic() + patience):
            error = NoAnswer(f"{what} did not come within {patience:g} s")
            self.link.fail(error)
            raise error

    def wait_until(self, ready: Callable[[], object], until: float, *, beside: Link | None = None) -> bool:
        """Wait until `ready`, or the moment `until`; raise when the channel is closed. For `beside` see `Link.wait`."""
        is_ready = self.link.wait(lambda: ready() or self.failure is not None, until, beside=beside)
        if is_ready and not ready():
            raise self.lost()
        return is_ready

    def get(self, queue: str) -> Arrival | None:
        """Take one message; None where there is none. Nothing else may be coming on this channel."""
        before = self.empties
        self.send(method_frame(self.number, "basic.get", 0, queue, False))
        self.wait(lambda: bool(self.arrivals) or self.empties > before, "basic.get")
        return self.arrivals.popleft() if self.arrivals else None

    def close(self) -> None:
        """End it; what it holds unacknowledged goes back. Raises nothing."""
        if self.failure is None:
            try:
                self.call("channel.close", 200, "", 0, 0)
                self.link.remove(self.number)
            except WireError:
                pass  # it has ended otherwise
            if self.failure is None:
                self.failure = LinkLost("the channel was closed")

    def abandon(self) -> None:
        """End it without waiting, since a call on it was broken off; what it holds goes back. Raises nothing."""
        if self.failure is None:
            self.failure = LinkLost("a call on the channel was broken off")
            try:
                self.link.send(method_frame(self.number, "channel.close", 200, "", 0, 0))
            except WireError:
                pass  # the connection has ended, and the channel with it

    def make_room(self, settled: Collection[int]) -> None:
        """Take note that these are settled, and that the standing consumer goes on if one of them filled it."""
        if self.standing is not None and self.standing.number in settled:
            self.lingering.pop(self.standing.consumer, None)
            self.standing.number = 0

    def ending(self, consumers: Iterable[str]) -> tuple[bytes, dict[str, str]]:
        """Return the frames that end those of the consumers that linger, to be sent before what makes room for them.

        Also return those that have to go on, with their queues, if they hold something still: see `going_on`.
        """
        frames: list[bytes] = []
        again: dict[str, str] = {}
        for name in consumers:
            queue = self.lingering.pop(name, None)
            if queue is not None:
                frames.append(method_frame(self.number, "basic.cancel", name, True))
                if queue:
                    again[name] = queue
        return b"".join(frames), again

    def going_on(self, consumers: Mapping[str, str]) -> bytes:
        """Return the frames by which consumers that were just ended go on with what they hold, and get no more.

        What an ended consumer holds on a node that was lost a quorum queue keeps for ever. One that begins again under
        its tag holds what it held, and with room for one it has none.
        """
        if not consumers:
            return b""
        self.lingering.update(consumers)
        self.room = 1
        self._unasked.append(None)
        frames = [method_frame(self.number, "basic.qos", 0, 1, False)]
        frames += [
            method_frame(self.number, "basic.consume", 0, queue, name, False, False, False, True, {})
            for name, queue in consumers.items()
        ]
        return b"".join(frames)

    def lost(self) -> WireError:
        """Return a new error that says why the channel is of no use."""
        error = self.failure or LinkLost("the channel was closed")
        return ChannelClosed(error.code, str(error)) if isinstance(error, ChannelClosed) else type(error)(str(error))

    # -- what the reading thread calls ------------------------------------------------------------------------------

    def fail(self, error: WireError) -> None:
        if self.failure is None:
            self.failure = error
        if self.on_arrival is not None:
            self.on_arrival()

    def take(self, kind: int, payload: bytes) -> None:
        if kind == METHOD:
            self._take_method(payload)
        elif kind == HEADER:
            self._header = payload
            self._left = body_size(payload)
            if not self._left:
                self._complete(b"")
        else:
            self._left -= len(payload)
            if self._left > 0:
                self._pieces.append(payload)
            elif self._pieces:
                self._pieces.append(payload)
                body = b"".join(self._pieces)
                self._pieces = []
                self._complete(body)
            else:
                self._complete(payload)

    def _take_method(self, payload: bytes) -> None:
        ids = payload[:4]
        if ids == _DELIVER:
            self._coming = _read_deliver(payload)
        elif ids in (_ACK, _NACK):
            (number,) = _U64.unpack_from(payload, 4)
            self.confirms.append(Confirm(number, bool(payload[12] & 1), ids == _NACK))
        elif ids == _GET_OK:
            tag, redelivered, exchange, key, _ = read_method(payload).arguments
            self._coming = Arrival("", tag, redelivered, exchange, key, b"", b"")
        elif ids == _GET_EMPTY:
            self.empties += 1
        elif ids == _RETURN:
            _, _, exchange, key = read_method(payload).arguments
            self._coming = Returned(exchange, key)
        else:
            self._take_rare(read_method(payload))

    def _take_rare(self, method: Method) -> None:
        if method.name == "basic.qos-ok" and self._unasked:
            self._unasked.popleft()  # if it is another's, that one's has come first, or comes at once
            return
        if method.name == "channel.close-ok" and self.failure is not None:
            self.link.remove(self.number)
            return
        if method.name == "channel.close":
            code, text = method.arguments[:2]
            try:
                self.link.send(method_frame(self.number, "channel.close-ok"))
            except WireError:
                pass  # the connection's failure has been noted
            self.fail(ChannelClosed(code, text))
            self.link.remove(self.number)
        elif method.name == "basic.cancel":
            self.cancelled.append(method.arguments[0])
            if self.on_arrival is not None:
                self.on_arrival()
        elif method.name == "channel.flow":
            self.link.send(method_frame(self.number, "channel.flow-ok", method.arguments[0]))
        else:
            self._answers.append(method)

    def _complete(self, body: bytes) -> None:
        coming, self._coming = self._coming, None
        if isinstance(coming, Arrival):
            coming.header, coming.body = self._header, body
            self.arrivals.append(coming)
            if self.on_arrival is not None:
                self.on_arrival()
        elif coming is not None:
            self.returned.append(coming)


def _read_deliver(payload: bytes) -> Arrival:
    at = 5 + payload[4]
    consumer = intern(payload[5:at].decode())  # of many messages the same, as exchange and key
    (tag,) = _U64.unpack_from(payload, at)
    at += 8
    redelivered = bool(payload[at] & 1)
    begin = at + 2
    at = begin + payload[at + 1]
    exchange = intern(payload[begin:at].decode("utf-8", "backslashreplace"))
    begin = at + 1
    key = intern(payload[begin : begin + payload[at]].decode("utf-8", "backslashreplace"))
    return Arrival(consumer, tag, redelivered, exchange, key, b"", b"")
