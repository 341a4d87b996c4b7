"""Groups and chords under Celery's keys: ``celery-taskset-meta-<id>``, and its ``.j .t .s .d .c`` to count a chord.

Beside them stands a record of ours, by which a chord ends also when members are missing; stock workers do without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.scripts import (
    CLOSE_CHORD,
    DUE_CHORDS,
    GROW_CHORD,
    JOIN_CHORD,
    LOOK_AT_CHORD,
    OPEN_CHORD,
    SEAL_CHORD,
    Script,
)
from celeriac.drivers.redis.wire import Reply
from celeriac.interfaces.groups import ChordPart, NewChord, OverdueChord
from celeriac.types import Moment, Seconds

__all__ = ["RedisGroups"]

_KEY: Final = "celery-taskset-meta-"
_CLOSED: Final = 300_000
"""Milliseconds for which a closed chord is known, for parts that come late; as long as stock workers know it."""


class RedisGroups:
    """The contract of groups in Redis or Valkey. Thread-safe."""

    def __init__(self, client: Client, options: Mapping[str, Any]) -> None:
        self._client = client
        self._prefix = Keys.of_results(options, _KEY)
        self._record = Keys.of_results(options, "celeriac:chord:")
        self._chords = Keys.of_results(options, "celeriac:chords")
        self._ordered = "1" if options.get("result_chord_ordered", True) else "0"

    def open(self, chords: Sequence[NewChord], *, anew: bool = False) -> None:
        if chords:
            doing = f"beginning chord {chords[0].id}"
            self._client.compare_clocks(doing=doing)
            commands = [self._on_chord(OPEN_CHORD, new.id, *self._opening(new, anew=anew)) for new in chords]
            self._client.all(commands, doing=doing)

    def seal(self, chord: str, *, size: int | None, sent_by: Moment | None = None) -> bool:
        keys = [self._prefix + chord + ".s", self._prefix + chord + ".c", self._record + chord, self._chords]
        arguments = (chord, "" if size is None else size, self._moment(sent_by))
        command = call_script(SEAL_CHORD, keys, arguments)
        return bool(self._client.one(command, doing=f"counting the members of chord {chord}") == 1)

    def grow(self, chord: str, members: Sequence[str]) -> None:
        command = call_script(GROW_CHORD, [self._prefix + chord + ".t", self._record + chord], members)
        self._client.one(command, doing=f"adding to chord {chord}")

    def join(self, parts: Sequence[ChordPart]) -> Sequence[bool]:
        by_chord = [
            (chord, list(members))
            for chord, members in groupby(sorted(parts, key=attrgetter("chord")), key=attrgetter("chord"))
        ]
        if not by_chord:
            return []
        commands = [self._joining(chord, members) for chord, members in by_chord]
        owners = self._client.all(commands, doing=f"counting the ends of members of chord {by_chord[0][0]}")
        owning = {
            (chord, members[int(place)].member)
            for (chord, members), place in zip(by_chord, owners, strict=True)
            if int(place) >= 0
        }
        return [(part.chord, part.member) in owning for part in parts]

    def parts(self, chord: str) -> Sequence[bytes]:
        command = "ZRANGE" if self._ordered == "1" else "LRANGE"
        found: Sequence[bytes] = self._client.one(
            (command, f"{self._prefix}{chord}.j", "0", "-1"), doing=f"reading the parts of chord {chord}"
        )
        return found

    def close(self, chords: Sequence[str]) -> None:
        commands = [self._on_chord(CLOSE_CHORD, chord, chord, _CLOSED) for chord in chords]
        if commands:
            self._client.all(commands, doing=f"ending chord {chords[0]}")

    def overdue(self, *, now: Moment, again: Moment, limit: int) -> Sequence[OverdueChord]:
        doing = "looking for overdue chords"
        if not self._client.one(("EXISTS", self._chords), doing=doing):  # an idle node asks this all its life
            return []
        now, again = self._client.server_time(now), self._client.server_time(again)
        ids = self._client.one(call_script(DUE_CHORDS, [self._chords], [now, again, limit]), doing=doing)
        chords = [raw.decode() for raw in ids]
        if not chords:
            return []
        commands = [self._on_chord(LOOK_AT_CHORD, chord, chord, now) for chord in chords]
        found = self._client.all(commands, doing=f"looking at chord {chords[0]}")
        return [_overdue(chord, told) for chord, told in zip(chords, found, strict=True) if told]

    def save(self, group: str, payload: bytes, *, ttl: Seconds | None) -> None:
        end: tuple[str | int, ...] = () if ttl is None else ("PX", max(1, math.ceil(ttl * 1000)))
        self._client.one(("SET", self._prefix + group, payload, *end), doing=f"saving group {group}")

    def fetch(self, group: str) -> bytes | None:
        found: bytes | None = self._client.one(("GET", self._prefix + group), doing=f"reading group {group}")
        return found

    def forget(self, group: str) -> None:
        self._client.one(("DEL", self._prefix + group), doing=f"forgetting group {group}")

    def _joining(self, chord: str, parts: Sequence[ChordPart]) -> Command:
        ttl = max(1, math.ceil(max(part.ttl for part in parts) * 1000))
        arguments: list[str | bytes | float] = [self._ordered, ttl]
        for part in parts:
            arguments += (part.member, "+inf" if part.index is None else part.index, part.payload)
        return call_script(JOIN_CHORD, self._keys(chord)[:6], arguments)

    def _on_chord(self, script: Script, chord: str, *arguments: str | bytes | float) -> Command:
        return call_script(script, self._keys(chord), arguments)

    def _opening(self, new: NewChord, *, anew: bool) -> tuple[str | bytes | float, ...]:
        return (
            new.id,
            "1" if anew else "0",
            "" if new.size is None else new.size,
            new.body,
            self._moment(new.deadline),
            self._moment(new.sent_by),
            max(1, math.ceil(new.ttl * 1000)),
        )

    def _moment(self, moment: Moment | None) -> float | str:
        """Return a moment by the server's clock, on which clients and workers agree."""
        return "" if moment is None else self._client.server_time(moment)

    def _keys(self, chord: str) -> list[str]:
        own = [f"{self._prefix}{chord}.{end}" for end in "jtsdc"]
        return [*own, self._record + chord, self._chords]


def _overdue(chord: str, told: Sequence[Reply]) -> OverdueChord:
    body, size, counted, missing, sent_by, complete = told
    return OverdueChord(
        id=chord,
        body=body,
        size=None if size == b"" else int(size),
        counted=int(counted),
        missing=None if missing == b"" else int(missing),
        is_sealed=sent_by == b"",
        is_complete=bool(complete),
    )
