"""When the leases of an engine were last renewed, in memory that the node's supervisor writes and the engine reads."""

from __future__ import annotations

import mmap
from typing import Final

from msgspec import Struct

from celeriac.types import Seconds

_AT, _FIRST, _LAST = range(3)


class Claim(Struct, frozen=True, gc=False):
    """One claim of an engine; whatever it took has the same.

    `moment` is before the store was asked, by `Clock.boottime`. `number` is that of the note in which the holdings were
    told, from 1.
    """

    moment: Seconds
    number: int


class Renewals:
    """The last renewal of an engine's leases, and for which of its claims it counts.

    A supervisor renews what it knows of: a claim whose note it has not read yet is not among that, nor is one of which
    it found a lease lost. The order of writing and that of reading see to it that nothing newer is read with a moment
    that does not go with it. Thread-safe: each cell is written whole.
    """

    SIZE: Final = 3 * 8
    """Bytes that it takes up, in doubles of the machine; they begin at a multiple of 8, so that none is read half."""

    def __init__(self, memory: mmap.mmap | bytearray | None = None, offset: int = 0) -> None:
        whole = memoryview(bytearray(self.SIZE) if memory is None else memory)
        self._cells = whole[offset : offset + self.SIZE].cast("d")

    def renewed(self, moment: Seconds, *, through: int) -> None:
        """Note that what was held of the claims up to number `through` was renewed after `moment`, by `boottime`."""
        self._cells[_AT] = moment
        self._cells[_LAST] = through

    def lost(self, *, through: int) -> None:
        """Note that a lease was lost that is of a claim up to number `through`: renewals count for later ones only."""
        self._cells[_FIRST] = through + 1

    def clear(self) -> None:
        """Begin with a new engine, whose claims are counted anew."""
        self._cells[_LAST] = self._cells[_FIRST] = self._cells[_AT] = 0.0

    def sure_at(self, claim: Claim) -> Seconds:
        """Return the last moment, by `boottime`, at which what this claim took was surely held."""
        last, moment, first = self._cells[_LAST], self._cells[_AT], self._cells[_FIRST]
        return max(claim.moment, moment) if first <= claim.number <= last else claim.moment
