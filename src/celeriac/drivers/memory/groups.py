"""Groups and chords in the process's memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from celeriac.clock import Clock
from celeriac.interfaces.groups import ChordPart, NewChord, OverdueChord
from celeriac.types import Moment, Seconds

_LAST: Final = float("inf")
_CLOSED: Final[Seconds] = 300.0
"""How long a closed chord is known, for parts that come late."""


@dataclass(slots=True)
class Chord:
    """What is known of one chord. `known` is False while only parts have come."""

    ends: Moment
    known: NewChord | None = None
    size: int | None = None
    grown: set[str] = field(default_factory=set)
    sent_by: Moment | None = None
    taken_until: Moment = 0.0
    owner: str | None = None
    is_closed: bool = False
    parts: dict[tuple[str, int | None], bytes] = field(default_factory=dict)

    @property
    def expected(self) -> int | None:
        return None if self.size is None else self.size + len(self.grown)

    @property
    def due(self) -> Moment:
        assert self.known is not None
        due = self.known.deadline if self.sent_by is None else min(self.sent_by, self.known.deadline)
        return max(due, self.taken_until)


class Kept:
    """All groups and chords of one store; `keeping` guards them."""

    def __init__(self) -> None:
        self.keeping = threading.Lock()
        self.chords: dict[str, Chord] = {}
        self.groups: dict[str, tuple[bytes, Moment]] = {}


class MemoryGroups:
    """The contract of groups on one `Kept`. Thread-safe."""

    def __init__(self, kept: Kept, *, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock

    def open(self, chords: Sequence[NewChord], *, anew: bool = False) -> None:
        now = self._clock.now()
        with self._kept.keeping:
            for new in chords:
                found = self._live(new.id, now)
                if found is None or anew:
                    found = self._kept.chords[new.id] = Chord(now + new.ttl)
                if found.known is None and not found.is_closed:
                    found.known, found.size, found.sent_by = new, new.size, new.sent_by

    def seal(self, chord: str, *, size: int | None, sent_by: Moment | None = None) -> bool:
        with self._kept.keeping:
            found = self._live(chord, self._clock.now())
            if found is None or found.known is None or (found.is_closed and found.owner is None):
                return False
            found.sent_by = sent_by
            found.size = found.size if size is None else size
            return True

    def grow(self, chord: str, members: Sequence[str]) -> None:
        now = self._clock.now()
        with self._kept.keeping:
            found = self._live(chord, now)
            if found is not None and not found.is_closed:
                found.grown.update(members)

    def join(self, parts: Sequence[ChordPart]) -> Sequence[bool]:
        now = self._clock.now()
        with self._kept.keeping:
            for part in parts:
                found = self._live(part.chord, now)
                if found is None:
                    found = self._kept.chords[part.chord] = Chord(now + part.ttl)
                if not found.is_closed:
                    found.parts.setdefault((part.member, part.index), part.payload)
                    found.ends = max(found.ends, now + part.ttl)
            return [self._is_owner(part) for part in parts]

    def parts(self, chord: str) -> Sequence[bytes]:
        with self._kept.keeping:
            found = self._live(chord, self._clock.now())
            if found is None:
                return []
            return [payload for _, payload in sorted(found.parts.items(), key=_place)]

    def close(self, chords: Sequence[str]) -> None:
        now = self._clock.now()
        with self._kept.keeping:
            for chord in chords:
                found = self._live(chord, now)
                if found is not None:
                    found.is_closed = True
                    found.parts.clear()
                    found.ends = now + _CLOSED

    def overdue(self, *, now: Moment, again: Moment, limit: int) -> Sequence[OverdueChord]:
        with self._kept.keeping:
            for chord in [chord for chord, kept in self._kept.chords.items() if kept.ends <= now]:
                del self._kept.chords[chord]
            for group in [group for group, (_, ends) in self._kept.groups.items() if ends <= now]:
                del self._kept.groups[group]
            open_ones = [(i, c) for i, c in self._kept.chords.items() if c.known is not None and not c.is_closed]
            due = [(chord, kept) for chord, kept in open_ones if kept.due <= now][:limit]
            for _, kept in due:
                kept.taken_until = again
            return [_overdue(chord, kept) for chord, kept in due]

    def save(self, group: str, payload: bytes, *, ttl: Seconds | None) -> None:
        with self._kept.keeping:
            self._kept.groups[group] = (payload, _LAST if ttl is None else self._clock.now() + ttl)

    def fetch(self, group: str) -> bytes | None:
        with self._kept.keeping:
            payload, ends = self._kept.groups.get(group, (None, 0.0))
            return payload if ends > self._clock.now() else None

    def forget(self, group: str) -> None:
        with self._kept.keeping:
            self._kept.groups.pop(group, None)

    def _live(self, chord: str, now: Moment) -> Chord | None:
        found = self._kept.chords.get(chord)
        return found if found is not None and found.ends > now else None

    def _is_owner(self, part: ChordPart) -> bool:
        """Tell whether a part, which was counted, owns the end of its chord. The lock is held."""
        found = self._kept.chords[part.chord]
        if found.is_closed or found.expected is None or len(found.parts) < found.expected:
            return False
        found.owner = found.owner or part.member
        return found.owner == part.member


def _place(item: tuple[tuple[str, int | None], bytes]) -> float:
    (_, index), _ = item
    return _LAST if index is None else index


def _overdue(chord: str, kept: Chord) -> OverdueChord:
    assert kept.known is not None
    came = {index for _, index in kept.parts}
    size = kept.expected
    missing = next((n for n in range(size or 0) if n not in came), None)
    return OverdueChord(
        id=chord,
        body=kept.known.body,
        size=size,
        counted=len(kept.parts),
        missing=missing,
        is_sealed=kept.sent_by is None,
        is_complete=size is not None and len(kept.parts) >= size,
    )
