"""How an engine tells its supervisor what it holds: where the supervisor reads it when it needs it, waking nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final, Protocol, TypeVar

from celeriac.interfaces.broker import Lease
from celeriac.types import Seconds
from celeriac.worker.notes import EngineNote, Full, Held, HoldingNote, Settled, encode
from celeriac.worker.ring import Ring

T = TypeVar("T")

_PER_NOTE: Final = 100
_UNTOLD: Final = -1
"""The number of a note that the supervisor never reads: no renewal counts for it."""
_ROOM: Final[Seconds] = 0.001
"""Time between two looks whether the supervisor has made room."""
_REMIND: Final = 500
"""Looks after which a supervisor that has made none is told again."""


class Ledger(Protocol):
    """Who is told what an engine holds, so that its leases are renewed. Thread-safe."""

    def held(self, leases: Sequence[Lease]) -> int:
        """Note deliveries that were just received; return the number of this note, from 1.

        It is -1 when nobody will renew their leases.
        """

    def settled(self, tags: Sequence[str]) -> None:
        """Note deliveries that are done with."""


class RingLedger:
    """The engine's end of its ring and pipe. A supervisor that is gone is no error here: the reading side notices it.

    A note in the ring costs 2 us. Through the pipe each would wake the supervisor, which costs as much as ten small
    tasks, and takes a processor from the engine, or from the client who waits: so only a full ring is told that way.
    """

    def __init__(self, ring: Ring, pipe: Connection) -> None:
        self._ring = ring
        self._pipe = pipe
        self._guard_ring = threading.Lock()
        self._guard_pipe = threading.Lock()
        self._held_notes = 0
        self._is_told = False

    def held(self, leases: Sequence[Lease]) -> int:
        is_told = True
        with self._guard_ring:
            for part in _parts(leases):
                is_told = self._put(Held(part)) and is_told
                self._held_notes += 1  # in the order of the ring, so that the supervisor counts the same
            return self._held_notes if is_told else _UNTOLD

    def settled(self, tags: Sequence[str]) -> None:
        with self._guard_ring:
            for part in _parts(tags):
                self._put(Settled(part))

    def send(self, note: EngineNote) -> bool:
        """Write a note to the pipe. False when the supervisor is gone."""
        frame = encode(note)
        with self._guard_pipe:  # frames of two threads must not mix, and the supervisor always reads
            try:
                self._pipe.send_bytes(frame)
            except OSError:
                return False
            return True

    def _put(self, note: HoldingNote) -> bool:
        """Put a note into the ring, waiting for room when there is none. Called with the ring's lock held.

        False when that is for nothing: the supervisor is gone, or the queue's name is as long as the ring.
        """
        frame, half = encode(note), self._ring.size // 2
        if len(frame) > half:
            return False
        looks = 0
        while not (waiting := self._ring.put(frame)):
            if looks % _REMIND == 0 and not self.send(Full()):
                return False
            looks += 1
            time.sleep(_ROOM)
        if waiting <= half:
            self._is_told = False
        elif not self._is_told:
            self._is_told = self.send(Full())
        return True


def _parts(all_of_them: Sequence[T]) -> Sequence[Sequence[T]]:
    """Return them in parts of the size of a note; mostly they are one."""
    count = len(all_of_them)
    if 0 < count <= _PER_NOTE:
        return (all_of_them,)
    return [all_of_them[start : start + _PER_NOTE] for start in range(0, count, _PER_NOTE)]
