"""The heap that engines inherit: made ready to be shared, and to be allocated from.

Importing an application leaves CPython's allocator with many pools that are full but for a few places. After a fork
these would be filled first, one here and one there, and each such write copies a page that was shared. With the places
taken, engines begin with pools of their own. A task that computes is quicker by it, too: a loop that adds numbers by
3 %, which its allocations took longer.
"""

from __future__ import annotations

import gc
import sys
from typing import Any, Final

_CLASSES: Final = range(32, 129, 16)
"""The allocator's sizes for the small objects that come and go, in bytes."""
_RUN: Final = 64
"""So many places in a row belong to a pool that nobody else has used."""
_NEAR: Final = 4
"""Places that one step may take: there are numbers of this function's own in between."""
_MOST: Final = 20_000
"""Objects of one size; beyond that the allocator is another one than we know."""

_fillers: Final[list[Any]] = []


def settle() -> None:
    """Take what is there out of the garbage collector's sight, for good, and fill the places in between.

    To be called before a fork, when all that lives as long as the process is there.
    """
    gc.collect()
    gc.freeze()
    for size in _CLASSES:
        _fill(size)


def _fill(size: int) -> None:
    """Allocate objects of a size until they follow one another in memory."""
    run, last, count, text = 0, 0, 0, size - sys.getsizeof(b"")
    while run < _RUN and count < _MOST:
        filler: object = bytes(text) if text > 0 else float(count)  # the smallest size has no room for bytes
        run = run + 1 if 0 < id(filler) - last <= _NEAR * size else 0
        last, count = id(filler), count + 1
        _fillers.append(filler)
