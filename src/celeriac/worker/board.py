"""What the engines of a node hold, run and have run, in memory that they share with their supervisor.

An engine that dies, or whose interpreter is stuck in C code, can tell nobody what it was doing. So it writes that down
before and after each run, in 0.5 µs each, where its supervisor can read it: which delivery, since when, when it must
have ended, and what was to be stored of it when it had.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import tempfile
from collections import deque
from pathlib import Path
from typing import Final

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured
from celeriac.types import Seconds
from celeriac.worker.notes import HoldingNote, read_holding_note
from celeriac.worker.pulse import Pulse
from celeriac.worker.renewals import Renewals
from celeriac.worker.ring import Ring

_ROW: Final = struct.Struct("<dd144p")
"""Started by `time.monotonic`, which all processes of a machine share (0: a free row, negative: it has ended); overdue,
likewise; the lease's tag."""
_STARTED: Final = struct.Struct("<d")
_IDENTITY: Final = struct.Struct("<255p255p")
"""Task id and name; written only where there is a deadline, for the supervisor to tell whose time was up."""
_RECORD: Final = struct.Struct("<H")
"""Where the identity was: the length of what is to be stored, which follows."""
_AREA: Final = 512
_MOST_KEPT: Final = _AREA - _RECORD.size
_REMEMBERED: Final = 256
"""Runs that have ended and are remembered: more than one claim takes."""
_RING: Final = 1 << 17
_HEAD: Final = Pulse.SIZE + Renewals.SIZE + Ring.HEAD + _RING
_FREE: Final = bytes(8)
_PLAIN, _WITH_RECORD = -1.0, -2.0
"""In place of the start of a run that has ended."""
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
    which has none such, one that `close` removes. Raises `ImproperlyConfigured` when there is no room for it.
    """

    def __init__(self, *, engines: int, rows: int, is_spawned: bool = False) -> None:
        self._rows = rows
        self.path = ""
        self.handle: int | None = None
        size = engines * _size(rows)
        if not is_spawned:
            self._memory = mmap.mmap(-1, size)
            return
        try:
            handle, self.path, self._memory = _mapped(size)
        except OSError as error:
            raise ImproperlyConfigured(
                f"A file of {size} bytes, in which engines say what they run, cannot be made in the directory for"
                f" temporary files: {error.strerror or error}. Make room there, or let TMPDIR name another."
            ) from error
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
    """What stands there of one engine. `begin` and `end` are its own, thread-safe; the rest is its supervisor's.

    The rows are used in turn, so that those of runs that ended stand there for a while.
    """

    def __init__(self, memory: mmap.mmap, offset: int, rows: int) -> None:
        self._memory = memory
        self.pulse = Pulse(memory, offset)
        """How lately its stores answered it."""
        self.renewals = Renewals(memory, offset + Pulse.SIZE)
        """When its leases were renewed; its supervisor writes it."""
        self.ring = Ring(memory, offset + Pulse.SIZE + Renewals.SIZE, _RING)
        """Its notes of what it holds."""
        count = rows + _REMEMBERED
        first = offset + _HEAD
        self._offsets = [first + row * _ROW.size for row in range(count)]
        self._to_area = {place: first + count * _ROW.size + row * _AREA for row, place in enumerate(self._offsets)}
        self._free = deque(self._offsets)

    @classmethod
    def open(cls, path: str, *, index: int, rows: int) -> EngineBoard:
        """Map the file of a `Board`, for an engine that has not inherited it."""
        with Path(path).open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        return cls(memory, (index - 1) * _size(rows), rows)

    def begin(self, tag: str, now: float, overdue: float = _NEVER, *, task_id: str = "", name: str = "") -> int:
        """Write down a run; return what `end` wants to know. No more run at once than there are slots."""
        offset = self._free.popleft()
        if overdue != _NEVER:
            self._memory[offset : offset + 8] = _FREE
            area = self._to_area[offset]
            _IDENTITY.pack_into(self._memory, area, task_id.encode()[:254], name.encode()[:254])
        _ROW.pack_into(self._memory, offset, now, overdue, tag.encode()[:143])
        return offset

    def end(self, offset: int, record: bytes | None = None) -> None:
        """Note that a run has ended, and what is to be stored of it: `record`, or nothing where that is empty.

        With None, or with more than there is room for, it is wiped out: its delivery has to be run again should the
        engine die before it is settled.
        """
        memory = self._memory
        if record is None or len(record) > _MOST_KEPT:
            memory[offset : offset + 8] = _FREE
        elif record:
            memory[offset : offset + 8] = _FREE  # what is half written is not read
            area = self._to_area[offset]
            memory[area + _RECORD.size : area + _RECORD.size + len(record)] = record
            _RECORD.pack_into(memory, area, len(record))
            _STARTED.pack_into(memory, offset, _WITH_RECORD)
        else:
            _STARTED.pack_into(memory, offset, _PLAIN)
        self._free.append(offset)

    def running(self) -> list[Running]:
        """Return what runs now, or what ran when the engine died."""
        found = []
        for offset in self._offsets:
            if _STARTED.unpack_from(self._memory, offset)[0] > 0:
                started, overdue, tag = _ROW.unpack_from(self._memory, offset)
                task_id, name = _IDENTITY.unpack_from(self._memory, self._to_area[offset])
                found.append(Running(tag.decode(errors="ignore"), started, overdue, *_told(overdue, task_id, name)))
        return found

    def ended(self) -> dict[str, bytes]:
        """Return, by tag, what was to be stored of the last runs that ended; much of that is done since."""
        found = {}
        for offset in self._offsets:
            state, _, tag = _ROW.unpack_from(self._memory, offset)
            if state < 0:
                record = b""
                if state == _WITH_RECORD:
                    area = self._to_area[offset]
                    (length,) = _RECORD.unpack_from(self._memory, area)
                    record = bytes(self._memory[area + _RECORD.size : area + _RECORD.size + length])
                found[tag.decode(errors="ignore")] = record
        return found

    def unread(self) -> list[HoldingNote]:
        """Return what the engine has noted of its holdings since the last call."""
        return [read_holding_note(frame) for frame in self.ring.take()]

    def clear(self) -> None:
        """Wipe out every run, note and renewal, for the engine's successor."""
        self.renewals.clear()
        self.ring.clear()
        for offset in self._offsets:
            self._memory[offset : offset + 8] = _FREE


def as_written(tag: str) -> str:
    """Return a tag as it reads on the board, where very long ones are cut."""
    return tag.encode()[:143].decode(errors="ignore")


def _size(rows: int) -> int:
    """Return how many bytes the board of one engine takes: a multiple of 8, as pulses want it."""
    return _HEAD + (rows + _REMEMBERED) * (_ROW.size + _AREA)


def _mapped(size: int) -> tuple[int, str, mmap.mmap]:
    """Make the file, and map it. It is written whole: a page that finds no room later ends the process (SIGBUS)."""
    handle, path = tempfile.mkstemp(prefix="celeriac-board-")
    try:
        if os.write(handle, bytes(size)) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return handle, path, mmap.mmap(handle, size)
    except BaseException:
        os.close(handle)
        Path(path).unlink()
        raise


def _told(overdue: Seconds, task_id: bytes, name: bytes) -> tuple[str, str]:
    if overdue == _NEVER:
        return "", ""
    return task_id.decode(errors="replace"), name.decode(errors="replace")
