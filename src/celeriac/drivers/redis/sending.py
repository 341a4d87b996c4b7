"""How messages get onto Celery's lists: at once, later, or in place of one that was acknowledged."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from celeriac.drivers.redis.client import Client, beginning, call_script
from celeriac.drivers.redis.errors import Refusal
from celeriac.drivers.redis.keys import Keys, QueueKeys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.scripts import SEND, SEND_LATER
from celeriac.exceptions import SendIncomplete
from celeriac.interfaces.broker import Nonce, Outgoing
from celeriac.wire import envelope

__all__ = ["Sender"]

_PER_SCRIPT: Final = 500  # messages; later ones take three arguments each, and Lua unpacks some 8,000 values at most
_NOTED: Final = 10_000  # names; beyond that the process begins to forget which it has noted
_PER_TRIP: Final = 5000  # messages; keeps the memory of a large batch, and the wait for one answer, bounded


class Sender:
    """Writes envelopes and sends them. Thread-safe."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._numbers = itertools.count()
        self._salt = os.urandom(6).hex()
        self._noted: dict[str, QueueKeys] = {}
        self._memory = keys.own("sent", "")

    def send(self, outgoing: Sequence[Outgoing], nonce: Nonce | None) -> None:
        """Return when the server has all of them, in order. See `Broker.send`."""
        item = outgoing[0] if len(outgoing) == 1 else None
        if item is not None and (item.not_before is None or not self.is_early(item)):
            queue = item.route.queue
            keys = self._noted.get(queue) or self._note(outgoing)[queue]
            names = [keys.lists[self._keys.step(item.priority) if item.priority else 0], keys.bell]
            if nonce is not None:
                names.append(self._memory + nonce.sender)
            number = "" if nonce is None else str(nonce.number)
            command = (beginning(SEND, len(names), *names), number, self.encode(item))
            self._client.one(command, doing=f"sending to queue {queue!r}")
            return
        self._note(outgoing)
        encoded = [self.encode(item) for item in outgoing]
        unsent: list[int] = []
        refusal: Exception | None = None
        # Each command is remembered for itself: one that was refused must be stored when it is sent again.
        turns = (self._sent(nonce, turn) for turn in itertools.count())
        for start in range(0, len(outgoing), _PER_TRIP):
            places = range(start, min(start + _PER_TRIP, len(outgoing)))
            parts = list(self._commands(outgoing, encoded, places, turns))
            doing = f"sending {len(outgoing)} messages to {_names(outgoing)}"
            replies = self._client.every([command for command, _ in parts], doing=doing)
            for (_, part), reply in zip(parts, replies, strict=True):
                if isinstance(reply, Refusal):
                    unsent.extend(part)
                    refusal = refusal or self._client.error(reply, doing=doing)
        if refusal is None:
            return
        if len(unsent) == len(outgoing):
            raise refusal
        raise SendIncomplete(
            f"{len(unsent)} of {len(outgoing)} messages were not stored. {refusal}", unsent=sorted(unsent)
        )

    def encode(self, item: Outgoing) -> bytes:
        """Write the envelope. It names its queue without an exchange, so that whoever restores it needs no binding."""
        tag = f"{self._salt}{next(self._numbers):x}"  # as `nonce`
        return envelope.encode(
            item.message, exchange="", routing_key=item.route.queue, priority=item.priority, delivery_tag=tag
        )

    def nonce(self) -> str:
        """Return text that nobody else returns; stock workers hold messages by it."""
        return f"{self._salt}{next(self._numbers):x}"

    def follow_ups(
        self, numbers: Mapping[str, int], follow_ups: Mapping[str, Sequence[Outgoing]], *, as_entries: bool = False
    ) -> tuple[list[str], list[str | bytes | float]]:
        """Return the keys and arguments that settle.lua wants; `numbers` are the places of the tags, from 1."""
        keys: list[str] = []
        arguments: list[str | bytes | float] = []
        for tag, items in follow_ups.items():
            if tag not in numbers:
                continue
            for item in items:
                queue, place = self._keys.queue(item.route.queue), self._keys.step(item.priority)
                keys += (queue.lists[place], queue.bell, queue.delayed)
                due = self._client.server_time(item.not_before or 0.0) if self.is_early(item) else ""
                step = self._keys.steps[place]
                envelope = self.encode(item)
                written = b"[%b%b" % (envelope, queue.tail.encode()) if as_entries else envelope
                arguments += (numbers[tag], item.route.queue, step, due, self.nonce(), written)
        return keys, arguments

    def forget_parent(self) -> None:
        """Begin anew after a fork: two processes must not give the same text."""
        self._salt = os.urandom(6).hex()

    def is_early(self, item: Outgoing) -> bool:
        """Tell whether a message is to be delayed: a retry after 0 s is not."""
        due = item.not_before
        return due is not None and self._client.server_time(due) > self._client.now()

    def _note(self, outgoing: Sequence[Outgoing]) -> Mapping[str, QueueKeys]:
        """Note the names of queues that this process has not sent to before, for `Broker.queues`; return their keys."""
        noted, names = self._noted, {item.route.queue for item in outgoing}
        new = {name: self._keys.queue(name) for name in names.difference(noted)}  # refuses one that cannot be
        if new:
            self._client.one(("SADD", self._keys.queue_names, *new), doing=f"sending to {_names(outgoing)}")
            self._noted = noted = noted | new if len(noted) < _NOTED else new
        return noted

    def _sent(self, nonce: Nonce | None, turn: int) -> tuple[str, tuple[str, ...]]:
        """Return the number of a send, and the key where the server remembers it, for one of its commands."""
        if nonce is None:
            return "", ()
        return str(nonce.number), (self._memory + (f"{nonce.sender}:{turn}" if turn else nonce.sender),)

    def _commands(
        self,
        outgoing: Sequence[Outgoing],
        encoded: Sequence[bytes],
        places: Sequence[int],
        turns: Iterator[tuple[str, tuple[str, ...]]],
    ) -> Iterator[tuple[Command, Sequence[int]]]:
        """Yield one command for each list and kind, with the positions of its messages; their order is kept."""
        groups: dict[tuple[str, int, bool], list[int]] = {}
        for place in places:
            item = outgoing[place]
            group = (item.route.queue, self._keys.step(item.priority), self.is_early(item))
            groups.setdefault(group, []).append(place)
        for (queue, step, later), members in groups.items():
            for start in range(0, len(members), _PER_SCRIPT):
                part = members[start : start + _PER_SCRIPT]
                number, sent = next(turns)
                keys = self._keys.queue(queue)
                if later:
                    names = (keys.lists[step], keys.bell, keys.delayed, self._keys.delayed_names, self._keys.alive)
                    arguments = (queue, self._keys.steps[step], number, *self._later(outgoing, encoded, part))
                    yield call_script(SEND_LATER, (*names, *sent), arguments), part
                else:
                    values: list[str | bytes | float] = [number, *(encoded[place] for place in part)]
                    yield call_script(SEND, (keys.lists[step], keys.bell, *sent), values), part

    def _later(
        self, outgoing: Sequence[Outgoing], encoded: Sequence[bytes], part: Sequence[int]
    ) -> Iterator[str | bytes | float]:
        """Yield what send_later.lua wants of each message."""
        for place in part:
            yield self._client.server_time(outgoing[place].not_before or 0.0)
            yield self.nonce()
            yield encoded[place]


def _names(outgoing: Sequence[Outgoing]) -> str:
    names = sorted({item.route.queue for item in outgoing})
    return f"queue {names[0]!r}" if len(names) == 1 else f"{len(names)} queues"
