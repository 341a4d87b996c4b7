"""What is said to the server of messages that are done with: results, acknowledgements, what follows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from msgspec import Struct

from celeriac.drivers.redis.client import beginning
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import NOTHING, Command, Packed, packed
from celeriac.drivers.redis.scripts import ACK, SETTLE
from celeriac.drivers.redis.sending import Sender
from celeriac.interfaces.broker import Lease, Outgoing
from celeriac.interfaces.results import ResultRecord
from celeriac.states import READY_STATES

__all__ = ["PER_SCRIPT", "Done", "Settling", "kept_for", "parts_of", "tags_of"]

PER_SCRIPT: Final = 1000
"""Tags of one script; Lua unpacks some 8,000 values at most, and a script blocks the server."""

_KEYS: Final = 3
"""How many keys a follow-up has."""

_tag_of: Final = attrgetter("tag")

_Argument = str | bytes | float | Packed


class Done(Struct, frozen=True):
    """What settle.lua is told first: keys and arguments. `kept` is what follows, where that may be held at once."""

    always: tuple[str, ...]
    keys: Sequence[str]
    arguments: Sequence[_Argument]
    kept: Outgoing | None = None

    def command(self, *, keys: Packed = NOTHING, arguments: Sequence[str | Packed] = ()) -> Command:
        """Return the whole command, with further keys and arguments."""
        count = len(self.always) + len(self.keys) + len(keys.arguments)
        return (beginning(SETTLE, count, *self.always), *self.keys, keys, *self.arguments, *arguments)


class Settling:
    """Writes what settles deliveries. Thread-safe."""

    def __init__(self, keys: Keys, sender: Sender, options: Mapping[str, object]) -> None:
        self._keys = keys
        self._sender = sender
        self._results = Keys.of_results(options)
        self._beginnings: dict[int, Packed] = {}  # of settle.lua alone, by the number of results
        self._ack = beginning(ACK, 2, keys.unacked, keys.unacked_index)
        self._always = (keys.unacked, keys.unacked_index, keys.delayed_names, keys.alive)

    def ack(
        self,
        leases: Sequence[Lease],
        follow_ups: Mapping[str, Sequence[Outgoing]] | None,
        results: Sequence[ResultRecord],
    ) -> list[tuple[Sequence[Lease], Command]]:
        """Return the commands that store the results and acknowledge, each with the leases that it is for."""
        if not follow_ups and not results:
            return [(part, self.one(part)) for part in parts_of(leases)]
        parts = list(parts_of(leases)) or [()]
        done = [self.done(part, follow_ups, results if place == 0 else ()) for place, part in enumerate(parts)]
        return [(part, one.command()) for part, one in zip(parts, done, strict=True)]

    def one(self, leases: Sequence[Lease], results: Sequence[ResultRecord] = ()) -> Command:
        """Return the command that stores results and acknowledges, of no more than one script takes."""
        if not results:
            return (self._ack, *tags_of(leases))
        if len(results) == 1 == len(leases):
            record, name = results[0], self._results + results[0].task_id
            how = _how_to_store(record.state, record.ttl)
            return (self._beginning(1), name, _ONE_OF_EACH, record.payload, how, leases[0].tag)
        names, told = self._stored(results)
        counts = _counts(len(results), len(leases))
        return (self._beginning(len(names)), *names, counts, *told, *tags_of(leases))

    def done(
        self,
        leases: Sequence[Lease],
        follow_ups: Mapping[str, Sequence[Outgoing]] | None,
        results: Sequence[ResultRecord],
        queues: Sequence[str] = (),
    ) -> Done:
        """Return what settle.lua is told of these, before it takes messages from the queues."""
        keys, tags = self._keys, tags_of(leases)
        names, told = self._stored(results)
        if not follow_ups:
            return Done(self._always, names, (_counts(len(results), len(tags)), *told, *tags))
        numbers = {tag: number for number, tag in enumerate(tags, start=1)}
        kept = self._kept(follow_ups, queues)
        following, sends = self._sender.follow_ups(numbers, follow_ups, as_entries=kept is not None)
        length = 0 if kept is None else len(keys.queue(kept.route.queue).tail.encode())
        counts = (len(results), len(tags), len(following) // _KEYS, length)
        return Done(self._always, (*names, *following), (*counts, *told, *tags, *sends), kept)

    def _stored(self, results: Sequence[ResultRecord]) -> tuple[list[str], list[_Argument]]:
        """Return the keys of results, and what settle.lua is told of them."""
        names: list[str] = []
        told: list[_Argument] = []
        for record in results:
            names.append(self._results + record.task_id)
            told += (record.payload, _how_to_store(record.state, record.ttl))
        return names, told

    def _beginning(self, results: int) -> Packed:
        known = self._beginnings.get(results)
        if known is None:
            known = self._beginnings[results] = beginning(SETTLE, len(self._always) + results, *self._always)
        return known

    def _kept(self, follow_ups: Mapping[str, Sequence[Outgoing]], queues: Sequence[str]) -> Outgoing | None:
        """Return what follows where that is one message, for one lease, which could be received at once."""
        if len(follow_ups) != 1:
            return None
        (items,) = follow_ups.values()
        if len(items) != 1 or items[0].route.queue not in queues or self._sender.is_early(items[0]):
            return None
        return items[0]


def parts_of(leases: Sequence[Lease]) -> Iterator[Sequence[Lease]]:
    """Yield the leases in parts of the size that one script takes."""
    for start in range(0, len(leases), PER_SCRIPT):
        yield leases[start : start + PER_SCRIPT]


def tags_of(leases: Sequence[Lease]) -> list[str]:
    """Return what the server knows the leases by."""
    return list(map(_tag_of, leases))


@lru_cache(maxsize=1000)
def _counts(results: int, tags: int) -> Packed:
    """Return how many of each settle.lua is told of, where nothing follows."""
    return packed(str(results), str(tags), "0", "0")


_ONE_OF_EACH: Final = _counts(1, 1)


@lru_cache(maxsize=100)
def _how_to_store(state: str, ttl: float | None) -> Packed:
    """Return whether the state is an end, and how long it is kept, as scripts have it."""
    return packed("1" if state in READY_STATES else "0", kept_for(ttl))


@lru_cache(maxsize=100)
def kept_for(ttl: float | None) -> str:
    """Return for how many milliseconds a result is kept, as scripts have it."""
    return "" if ttl is None else str(max(1, math.ceil(ttl * 1000)))
