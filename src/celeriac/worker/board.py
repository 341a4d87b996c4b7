"""What the engines of a node run at this moment, in memory that they share with their supervisor.

An engine that dies, or whose interpreter is stuck in C code, can tell nobody what it was doing. So it writes that down
before each run, in 0.5 µs, where its supervisor can read it: which delivery, since when, and when it must have ended.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections import deque
from pathlib import Path
from typing import Final

from msgspec import Struct

from celeriac.types import Seconds
from celeriac.worker.pulse import Pulse
from celeriac.worker.renewals import Renewals

_ROW: Final = struct.Struct("<dd144p")
"""Started (0: a free row) and overdue, by `time.monotonic`, which all processes of a machine share; the lease's tag."""
_IDENTITY: Final = struct.Struct("<255p255p")
"""Task id and name; written only where there is a deadline, for the supervisor to tell whose time was up."""
_SIZE: Final = _ROW.size + _IDENTITY.size
_HEAD: Final = Pulse.SIZE + Renewals.SIZE
_FREE: Final = bytes(8)
_NEVER: Final = float("inf")


class Running(Struct, frozen=True):
    """One run. `overdue` is infinite, and `task_id` and `name` are empty, where there is no deadline."""

    tag: str
    started: float
    overdue: float
    task_id: str
    name: str


class Board:
    """The rows of all engines, in memory that every process of the node has mapped.

    Forked engines inherit it. For those that are spawned (`is_spawned`) it is a file, which they open by `path`: one
    without a name, which they inherit open as `handle`, so that nothing is left of a node that is killed; on Windows,
    which has none such, one that `close` removes.
    """

    def __init__(self, *, engines: int, rows: int, is_spawned: bool = False) -> None:
        self._rows = rows
        self.path = ""
        self.handle: int | None = None
        size = engines * _size(rows)
        if not is_spawned:
            self._memory = mmap.mmap(-1, size)
            return
        handle, self.path = tempfile.mkstemp(prefix="celeriac-board-")
        os.truncate(handle, size)
        self._memory = mmap.mmap(handle, size)
        if os.name == "nt":
            os.close(handle)
        else:
            Path(self.path).unlink()
            self.path = f"/dev/fd/{handle}"
            self.handle = handle

    def of(self, index: int) -> EngineBoard:
        """Return the rows of the engine with this number, counted from 1."""
        return EngineBoard(self._memory, (index - 1) * _size(self._rows), self._rows)

    def close(self) -> None:
        """Let go of the file; who has it mapped may go on."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
        elif self.path:
            Path(self.path).unlink(missing_ok=True)


class EngineBoard:
    """The rows of one engine. `begin` and `end` are its own, thread-safe; `running` and `clear` its supervisor's."""

    def __init__(self, memory: mmap.mmap, offset: int, rows: int) -> None:
        self._memory = memory
        self.pulse = Pulse(memory, offset)
        """How lately its stores answered it."""
        self.renewals = Renewals(memory, offset + Pulse.SIZE)
        """When its leases were renewed; its supervisor writes it."""
        self._offsets = [offset + _HEAD + row * _SIZE for row in range(rows)]
        self._free = deque(self._offsets)

    @classmethod
    def open(cls, path: str, *, index: int, rows: int) -> EngineBoard:
        """Map the file of a `Board`, for an engine that has not inherited it."""
        with Path(path).open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        return cls(memory, (index - 1) * _size(rows), rows)

    def begin(self, tag: str, now: float, overdue: float = _NEVER, *, task_id: str = "", name: str = "") -> int:
        """Write down a run; return what `end` wants to know. There are as many rows as there are slots."""
        offset = self._free.popleft()
        if overdue != _NEVER:
            _IDENTITY.pack_into(self._memory, offset + _ROW.size, task_id.encode()[:254], name.encode()[:254])
        _ROW.pack_into(self._memory, offset, now, overdue, tag.encode()[:143])
        return offset

    def end(self, offset: int) -> None:
        """Wipe out a run that ended."""
        self._memory[offset : offset + 8] = _FREE
        self._free.append(offset)

    def running(self) -> list[Running]:
        """Return what runs now, or what ran when the engine died."""
        found = []
        for offset in self._offsets:
            started, overdue, tag = _ROW.unpack_from(self._memory, offset)
            if started:
                task_id, name = _IDENTITY.unpack_from(self._memory, offset + _ROW.size)
                found.append(Running(tag.decode(errors="ignore"), started, overdue, *_told(overdue, task_id, name)))
        return found

    def clear(self) -> None:
        """Wipe out every run and renewal, for the engine's successor."""
        self.renewals.clear()
        for offset in self._offsets:
            self._memory[offset : offset + 8] = _FREE


def as_written(tag: str) -> str:
    """Return a tag as it reads on the board, where very long ones are cut."""
    return tag.encode()[:143].decode(errors="ignore")


def _size(rows: int) -> int:
    """Return how many bytes the board of one engine takes: a multiple of 8, as pulses want it."""
    return _HEAD + (rows * _SIZE + 7) // 8 * 8


def _told(overdue: Seconds, task_id: bytes, name: bytes) -> tuple[str, str]:
    if overdue == _NEVER:
        return "", ""
    return task_id.decode(errors="replace"), name.decode(errors="replace")
