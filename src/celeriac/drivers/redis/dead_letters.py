"""Dead letters in a sorted set for each queue; ``<queue>:<number>`` is the id of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.scripts import PURGE_DEAD, REQUEUE_DEAD
from celeriac.exceptions import DecodeError
from celeriac.interfaces.dead_letters import DeadLetter
from celeriac.wire import envelope
from celeriac.wire.message import Unreadable

__all__ = ["RedisDeadLetters"]

_LOOKED_AT: Final = 200  # letters; the script that reads them blocks the server

_Place: TypeAlias = tuple[str, str]
"""Queue and number: what an id is made of."""


class _Head(Struct, array_like=True):
    """The first line of a letter, as ``_bury.lua`` writes it."""

    number: int
    died: float
    reason: str
    step: int


class RedisDeadLetters:
    """Implements `DeadLetters`."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def queues(self) -> Sequence[str]:
        doing = "listing queues with dead letters"
        known = sorted(name.decode() for name in self._client.one(("HKEYS", self._keys.dead_numbers), doing=doing))
        if not known:
            return []
        counts = self._client.all([("ZCARD", self._keys.queue(name).dead) for name in known], doing=doing)
        return [name for name, count in zip(known, counts, strict=True) if count]

    def page(self, queue: str, *, limit: int, after: str | None = None) -> Sequence[DeadLetter]:
        below = "+inf" if after is None else f"({(_place(after) or ('', '0'))[1]}"
        command = ("ZREVRANGEBYSCORE", self._keys.queue(queue).dead, below, "-inf", "LIMIT", 0, limit)
        raws = self._client.one(command, doing=f"reading the dead letters of queue {queue!r}")
        return [self._letter(queue, raw) for raw in raws]

    def fetch(self, ids: Sequence[str]) -> Mapping[str, DeadLetter]:
        return {each: self._letter(queue, raw) for each, (queue, _), raw in self._read(ids)}

    def requeue(self, ids: Sequence[str]) -> Sequence[str]:
        missing = dict.fromkeys(ids)
        groups: dict[tuple[str, int], list[tuple[str, str, bytes]]] = {}
        for each, (queue, number), raw in self._read(missing):
            head, text = _parted(raw)
            groups.setdefault((queue, self._keys.step(head.step)), []).append((each, number, envelope.unmark(text)))
        commands: list[Command] = []
        for (queue, step), members in groups.items():
            keys = self._keys.queue(queue)
            arguments = [part for _, number, text in members for part in (number, text)]
            commands.append(call_script(REQUEUE_DEAD, (keys.dead, keys.lists[step], keys.bell), arguments))
        replies = self._client.all(commands, doing="giving dead letters back") if commands else []
        for members, lost in zip(groups.values(), replies, strict=True):
            there = set(range(len(members))) - set(lost)
            for place in there:
                del missing[members[place][0]]
        return list(missing)

    def remove(self, ids: Sequence[str]) -> Sequence[str]:
        wanted = dict.fromkeys(ids)
        places = list(_places(wanted))
        commands = [("ZREMRANGEBYSCORE", self._keys.queue(queue).dead, number, number) for _, (queue, number) in places]
        replies = self._client.all(commands, doing="removing dead letters") if commands else []
        for (each, _), removed in zip(places, replies, strict=True):
            if removed:
                del wanted[each]
        return list(wanted)

    def purge(self, queue: str, *, before: float | None = None) -> int:
        letters, doing = self._keys.queue(queue).dead, f"purging the dead letters of queue {queue!r}"
        if before is None:
            return int(self._client.one(("ZREMRANGEBYRANK", letters, 0, -1), doing=doing))
        moment, removed = self._client.server_time(before), 0
        last: str | bytes = "-inf"
        while last:
            command = call_script(PURGE_DEAD, (letters,), (moment, last, _LOOKED_AT))
            count, last = self._client.one(command, doing=doing)
            removed += count
        return removed

    def _read(self, ids: Iterable[str]) -> Iterator[tuple[str, _Place, bytes]]:
        """Yield id, place and bytes of each letter that is there."""
        places = list(_places(ids))
        commands = [("ZRANGEBYSCORE", self._keys.queue(queue).dead, number, number) for _, (queue, number) in places]
        replies = self._client.all(commands, doing="reading dead letters") if commands else []
        for (each, place), found in zip(places, replies, strict=True):
            for raw in found:
                yield each, place, raw

    def _letter(self, queue: str, raw: bytes) -> DeadLetter:
        head, text = _parted(raw)
        letter_id, died = f"{queue}:{head.number}", self._client.local_time(head.died)
        try:
            read = envelope.decode(text)
        except DecodeError as error:
            return DeadLetter(letter_id, queue, died, head.reason, Unreadable(text, str(error)))
        return DeadLetter(letter_id, queue, died, head.reason, read.message, read.redelivered)


def _parted(raw: bytes) -> tuple[_Head, bytes]:
    head, _, text = raw.partition(b"\n")
    return _read_head(head), text


def _places(ids: Iterable[str]) -> Iterator[tuple[str, _Place]]:
    """Yield each id that could be one, with its place."""
    for each in ids:
        place = _place(each)
        if place is not None:
            yield each, place


def _place(letter_id: str) -> _Place | None:
    queue, _, number = letter_id.rpartition(":")
    return (queue, number) if number.isascii() and number.isdecimal() else None


_read_head = msgspec.json.Decoder(_Head).decode
