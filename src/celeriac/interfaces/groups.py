"""The contract of groups and chords: what a store knows of tasks that belong together, and how it counts their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from celeriac.types import Moment, Seconds


class NewChord(Struct, frozen=True):
    """A chord whose members are about to be sent. `id` is that of its group of members.

    `size` is how many parts it has, None until `GroupStore.seal` says so. `body` is what the core wants to have back
    when it ends; the store does not read it. `deadline` is the moment at which it is over, well or not; `sent_by` the
    one until which its sender has to be heard of (see `seal`), None when it was sent in one step. All that is kept of
    it is gone `ttl` seconds after the last that happened to it.
    """

    id: str
    size: int | None
    body: bytes
    deadline: Moment
    ttl: Seconds
    sent_by: Moment | None = None


class ChordPart(Struct, frozen=True):
    """A member's end. `member` is its task id, `index` its place among the members, `payload` what `parts` gives back.

    Parts without an index come last, in the order in which they came.
    """

    chord: str
    member: str
    index: int | None
    payload: bytes
    ttl: Seconds


class OverdueChord(Struct, frozen=True):
    """A chord that has reached a deadline. `missing` is the place of the first member of which nothing came.

    `is_sealed` is False when its sender was not heard of in time; `is_complete` is True when all parts have come and
    whoever owned its end did not see to it.
    """

    id: str
    body: bytes
    size: int | None
    counted: int
    missing: int | None
    is_sealed: bool
    is_complete: bool


class GroupStore(Protocol):
    """Groups by id, and chords that count their members. Thread-safe. Raises `BackendError` kin, and nothing else."""

    def open(self, chords: Sequence[NewChord], *, anew: bool = False) -> None:
        """Begin to count. A chord that is known stays as it is, what was counted included; with `anew` it is reset.

        Parts that came before are counted too.
        """

    def seal(self, chord: str, *, size: int | None, sent_by: Moment | None = None) -> bool:
        """Say how far the sending is. False when the chord is over already: its sender was taken to be dead.

        With `sent_by` the sender goes on, and is heard of again before that moment; without, all members are sent, and
        there are `size` of them.
        """

    def grow(self, chord: str, members: Sequence[str]) -> None:
        """Expect a part more for each of these members, once, however often it is said."""

    def join(self, parts: Sequence[ChordPart]) -> Sequence[bool]:
        """Count the parts, each once, however often it comes. True for a part whose holder owns the end of its chord.

        One step for each chord. All parts have come then, and exactly one of them is the owner's: it says so again
        when it comes again, until the chord is closed. Parts of a closed chord are passed over.
        """

    def parts(self, chord: str) -> Sequence[bytes]:
        """Return the payloads that came, in the order of their indices."""

    def close(self, chords: Sequence[str]) -> None:
        """Forget what was counted, and pass over what comes late. An unknown chord is no error."""

    def overdue(self, *, now: Moment, again: Moment, limit: int) -> Sequence[OverdueChord]:
        """Return chords whose deadline has passed. Each is returned to one caller, and once more after `again`."""

    def save(self, group: str, payload: bytes, *, ttl: Seconds | None) -> None:
        """Keep what a group consists of."""

    def fetch(self, group: str) -> bytes | None:
        """Return what was saved; None for an unknown group."""

    def forget(self, group: str) -> None:
        """Remove what was saved; an unknown group is no error."""
