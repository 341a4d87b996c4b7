"""Groups and chords as rows; each call is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.sqlite import queries
from celeriac.drivers.sqlite.client import Database
from celeriac.exceptions import BackendError
from celeriac.interfaces.groups import ChordPart, NewChord, OverdueChord
from celeriac.types import Moment, Seconds

_SQL: Final = queries.load("groups")
_LAST: Final = 1 << 62
"""The place of parts without an index."""
_CLOSED: Final[Seconds] = 300.0
"""How long a closed chord is known, for parts that come late."""


class SQLiteGroups:
    """The contract of groups on one `Database`. Thread-safe."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self, chords: Sequence[NewChord], *, anew: bool = False) -> None:
        now = self._clock.now()
        with self._database.write(BackendError) as connection:
            for new in chords:
                connection.execute(_SQL["forget_ended"], (new.id, now))
                if anew:
                    for statement in ("drop", "drop_parts", "drop_members"):
                        connection.execute(_SQL[statement], (new.id,))
                due = new.deadline if new.sent_by is None else min(new.sent_by, new.deadline)
                row = (new.id, new.body, new.size, new.deadline, new.sent_by, due, now + new.ttl)
                connection.execute(_SQL["open"], row)

    def seal(self, chord: str, *, size: int | None, sent_by: Moment | None = None) -> bool:
        with self._database.write(BackendError) as connection:
            return connection.execute(_SQL["seal"], (chord, size, sent_by, self._clock.now())).rowcount == 1

    def grow(self, chord: str, members: Sequence[str]) -> None:
        with self._database.write(BackendError) as connection:
            added = connection.executemany(_SQL["add_member"], [(chord, member) for member in members]).rowcount
            connection.execute(_SQL["grow"], (chord, max(0, added)))

    def join(self, parts: Sequence[ChordPart]) -> Sequence[bool]:
        now = self._clock.now()
        owners: dict[str, str | None] = {}
        with self._database.write(BackendError) as connection:
            for chord, members in groupby(sorted(parts, key=attrgetter("chord")), key=attrgetter("chord")):
                owners[chord] = _join(connection, chord, list(members), now)
        return [owners[part.chord] == part.member for part in parts]

    def parts(self, chord: str) -> Sequence[bytes]:
        with self._database.read(BackendError) as connection:
            return [payload for (payload,) in connection.execute(_SQL["parts"], (chord,)).fetchall()]

    def close(self, chords: Sequence[str]) -> None:
        ends = self._clock.now() + _CLOSED
        with self._database.write(BackendError) as connection:
            connection.executemany(_SQL["close"], [(chord, ends) for chord in chords])
            for statement in ("drop_parts", "drop_members"):
                connection.executemany(_SQL[statement], [(chord,) for chord in chords])

    def overdue(self, *, now: Moment, again: Moment, limit: int) -> Sequence[OverdueChord]:
        self._sweep(now)
        with self._database.read(BackendError) as connection:
            if connection.execute(_SQL["has_overdue"], (now,)).fetchone() is None:
                return []
        with self._database.write(BackendError) as connection:
            rows = connection.execute(_SQL["overdue"], (now, again, limit)).fetchall()
            return [_overdue(connection, row) for row in rows]

    def save(self, group: str, payload: bytes, *, ttl: Seconds | None) -> None:
        ends = None if ttl is None else self._clock.now() + ttl
        with self._database.write(BackendError) as connection:
            connection.execute(_SQL["save_group"], (group, payload, ends))

    def fetch(self, group: str) -> bytes | None:
        with self._database.read(BackendError) as connection:
            row = connection.execute(_SQL["fetch_group"], (group, self._clock.now())).fetchone()
            return None if row is None else row[0]

    def forget(self, group: str) -> None:
        with self._database.write(BackendError) as connection:
            connection.execute(_SQL["forget_group"], (group,))

    def _sweep(self, now: Moment) -> None:
        with self._database.read(BackendError) as connection:
            if connection.execute(_SQL["has_ended"], (now,)).fetchone() is None:
                return
        with self._database.write(BackendError) as connection:
            for statement in ("sweep_parts", "sweep_members", "sweep", "sweep_groups"):
                connection.execute(_SQL[statement], (now,))


def _join(connection: sqlite3.Connection, chord: str, parts: Sequence[ChordPart], now: Moment) -> str | None:
    """Count the parts of one chord; return the member that owns its end, None while there is none."""
    connection.execute(_SQL["forget_ended"], (chord, now))
    connection.execute(_SQL["expect"], (chord, now + max(part.ttl for part in parts)))
    rows = [(chord, part.member, _LAST if part.index is None else part.index, part.payload) for part in parts]
    added = connection.executemany(_SQL["add_part"], rows).rowcount
    if added > 0:
        connection.execute(_SQL["count"], (chord, added))
    found = connection.execute(_SQL["own"], (chord, parts[-1].member)).fetchone()
    return None if found is None else found[0]


def _overdue(connection: sqlite3.Connection, row: tuple[str, bytes, int | None, int, int, int | None]) -> OverdueChord:
    chord, body, size, counted, is_sealed, is_complete = row
    came = {place for (place,) in connection.execute(_SQL["places"], (chord,)).fetchall()}
    missing = next((n for n in range(size or 0) if n not in came), None)
    return OverdueChord(chord, body, size, counted, missing, bool(is_sealed), bool(is_complete))
