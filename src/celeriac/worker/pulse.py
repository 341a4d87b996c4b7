"""How lately an engine was answered by its stores, in memory that its supervisor reads.

An engine whose store never answers, or whose process stands still, can tell nobody. So it writes down when it began to
ask and when it was answered, in 0.2 µs each, and its node draws the conclusions (`celeriac.worker.health`).
"""

from __future__ import annotations

import mmap
from typing import Final

from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.types import Seconds

_ASKING, _RECEIVED, _STORING, _STORED = range(4)


class Pulse:
    """Four moments of one engine; 0 where there is none. The writers are the engine's, the readings are its node's.

    Moments are by `time.monotonic`, which all processes of a machine share. Thread-safe: each cell is written whole.
    """

    SIZE: Final = 4 * 8
    """Bytes that it takes up, in doubles of the machine; they begin at a multiple of 8, so that none is read half."""

    def __init__(
        self, memory: mmap.mmap | bytearray | None = None, offset: int = 0, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        whole = memoryview(bytearray(self.SIZE) if memory is None else memory)
        self._cells = whole[offset : offset + self.SIZE].cast("d")
        self._now = clock.monotonic

    # -- the engine ---

    def asking(self) -> None:
        """A receive begins. The first since the last answer counts."""
        if not self._cells[_ASKING]:
            self._cells[_ASKING] = self._now()

    def received(self) -> None:
        """The broker answered a receive, with deliveries or without."""
        self._cells[_RECEIVED] = self._now()
        self._cells[_ASKING] = 0.0

    def storing(self) -> None:
        """Completions begin to be carried out. The first since the last success counts."""
        if not self._cells[_STORING]:
            self._cells[_STORING] = self._now()

    def stored(self) -> None:
        """Completions were carried out, or there are none any more."""
        self._cells[_STORED] = self._now()
        self._cells[_STORING] = 0.0

    # -- its node ---

    def restart(self) -> None:
        """Begin with a new engine. It counts as asking from now on, or since its predecessor was left unanswered."""
        self._cells[_STORING] = 0.0
        self.asking()

    @property
    def asking_since(self) -> Seconds:
        return self._cells[_ASKING]

    @property
    def received_at(self) -> Seconds:
        return self._cells[_RECEIVED]

    @property
    def storing_since(self) -> Seconds:
        return self._cells[_STORING]

    @property
    def stored_at(self) -> Seconds:
        return self._cells[_STORED]
