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
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from celeriac.exceptions import ImproperlyConfigured
from celeriac.worker.notes import HoldingNote, read_holding_note
from celeriac.worker.pulse import Pulse
from celeriac.worker.renewals import Renewals
from celeriac.worker.ring import Ring

_ROW: Final = struct.Struct("<d144p104p")
"""When it must have ended, by `time.monotonic`, the lease's tag, and the task's id as far as there is room."""
_IDENTITY: Final = struct.Struct("<255p255p")
"""Task id and name; written only where there is a deadline, for the supervisor to tell whose time was up."""
_RECORD: Final = struct.Struct("<H")
_length_of: Final = _RECORD.pack
"""Where the identity was: the length of what is to be stored, which follows."""
_AREA: Final = 512
_MOST_KEPT: Final = _AREA - _RECORD.size
_REMEMBERED: Final = 256
"""Runs that have ended and are remembered: more than one claim takes."""
_RING: Final = 1 << 17
_DEADLINES: Final = 8
"""Bytes of the mark that some run has, or had, a deadline."""
_HEAD: Final = Pulse.SIZE + Renewals.SIZE + Ring.HEAD + _RING + _DEADLINES
_FREE, _PLAIN, _WITH_RECORD, _UNKEPT = 0.0, -1.0, -2.0, -3.0
"""In place of the start of a run (by `time.monotonic`, which all processes of a machine share): there is none, it has
ended, it has ended and something is to be stored, it has ended and more is to be done than there is room for."""
_NEVER: Final = float("inf")
FOLLOWED: Final = "\0"
"""Ends the name of a task that others wait for in its workflow: an engine has to see to that when its time was up."""


_ADDRESS: Final = "\0"
"""Between a task's id and where its result is wanted."""


_ONCE: Final = b"\1"
"""Begins the id of a task that must not run again."""


class Running(Struct, frozen=True):
    """One run. `overdue` is infinite, and `name` is empty, where there is no deadline; a long `task_id` is cut there.

    `reply_to` is where the message wants the result. `is_once` tells that it must not run again: if its engine dies,
    that is its end, and somebody may wait to hear of it.
    """

    tag: str
    started: float
    overdue: float
    task_id: str
    name: str
    reply_to: str | None = None
    is_once: bool = False


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
            try:
                self._memory = mmap.mmap(-1, size)
            except OSError as error:
                raise ImproperlyConfigured(
                    f"There are no {size} bytes of memory in which engines say what they run: {error.strerror}."
                    " Lower worker_concurrency or worker_async_concurrency."
                ) from error
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
        self._deadlines = memoryview(memory)[first - _DEADLINES : first].cast("d")
        self._started = memoryview(memory)[first : first + count * 8].cast("d")
        self._rows = first + count * 8
        self._areas = self._rows + count * _ROW.size
        self._free = deque(range(count))

    @classmethod
    def open(cls, path: str, *, index: int, rows: int) -> EngineBoard:
        """Map the file of a `Board`, for an engine that has not inherited it."""
        with Path(path).open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        return cls(memory, (index - 1) * _size(rows), rows)

    def begin(  # noqa: PLR0913  a row has as many columns
        self,
        tag: str,
        now: float,
        overdue: float = _NEVER,
        *,
        task_id: str = "",
        name: str = "",
        is_once: bool = False,
    ) -> int:
        """Write down a run; return what `end` wants to know. No more run at once than there are slots.

        `task_id` may come with what `addressed` put to it; see `Running` for the rest.
        """
        row = self._free.popleft()
        self._started[row] = _FREE  # what is half written is not read
        if overdue != _NEVER:
            self._deadlines[0] = 1.0
            _IDENTITY.pack_into(self._memory, self._area(row), task_id.encode()[:254], name.encode()[:254])
        # A longer text is cut to its place.
        short = _ONCE + task_id.encode() if is_once else task_id.encode()
        _ROW.pack_into(self._memory, self._rows + row * _ROW.size, overdue, tag.encode(), short)
        self._started[row] = now
        return row

    def end(self, row: int, record: bytes | None = None) -> None:
        """Note that a run has ended, and what is to be stored of it: `record`, or nothing where that is empty.

        With None, or with more than there is room for, its delivery has to be run again should the engine die before it
        is settled: see `unkept`.
        """
        if record is None or len(record) > _MOST_KEPT:
            self._started[row] = _UNKEPT
        elif record:
            self._started[row] = _FREE
            area, whole = self._areas + row * _AREA, _length_of(len(record)) + record
            self._memory[area : area + len(whole)] = whole
            self._started[row] = _WITH_RECORD
        else:
            self._started[row] = _PLAIN
        self._free.append(row)

    def with_deadline(self) -> list[Running]:
        """Return what runs now and must have ended some time: while nothing must, this costs next to nothing."""
        if not self._deadlines[0]:
            return []
        self._deadlines[0] = 0.0  # before the look: what begins meanwhile marks it again
        found = [run for run in self.running() if run.overdue != _NEVER]
        if found:
            self._deadlines[0] = 1.0
        return found

    def running(self) -> list[Running]:
        """Return what runs now, or what ran when the engine died."""
        found = []
        for row, started in enumerate(self._started.tolist()):
            if started > 0:
                overdue, tag, short = self._row(row)
                task_id, name = _IDENTITY.unpack_from(self._memory, self._area(row))
                if overdue == _NEVER:
                    task_id, name = short.removeprefix(_ONCE), b""
                found.append(Running(tag, started, overdue, *_told(task_id, name), short.startswith(_ONCE)))
        return found

    def ended(self) -> dict[str, bytes]:
        """Return, by tag, what was to be stored of the last runs that ended; much of that is done since."""
        found = {}
        for row, started in enumerate(self._started.tolist()):
            if started in {_PLAIN, _WITH_RECORD}:
                _, tag, _ = self._row(row)
                found[tag] = self._record(row) if started == _WITH_RECORD else b""
        return found

    def unkept(self) -> list[Running]:
        """Return the last runs of whose ends too much was to be done for it to stand here; most of that is done since.

        An engine may die of that, of a result that takes too much memory, and such a delivery has to be told from one
        that had not begun. Moments and names are not known any more.
        """
        rows = (self._row(row) for row, started in enumerate(self._started.tolist()) if started == _UNKEPT)
        return [Running(tag, 0.0, _NEVER, "", "", None, short.startswith(_ONCE)) for _, tag, short in rows]

    def _row(self, row: int) -> tuple[float, str, bytes]:
        overdue, tag, task_id = _ROW.unpack_from(self._memory, self._rows + row * _ROW.size)
        return overdue, tag.decode(errors="ignore"), task_id

    def _area(self, row: int) -> int:
        return self._areas + row * _AREA

    def _record(self, row: int) -> bytes:
        area = self._area(row)
        (length,) = _RECORD.unpack_from(self._memory, area)
        return self._memory[area + _RECORD.size : area + _RECORD.size + length]

    def unread(self) -> Iterator[HoldingNote]:
        """Yield what the engine has noted of its holdings since the last call."""
        return map(read_holding_note, self.ring.take())

    def clear(self) -> None:
        """Wipe out every run, note and renewal, for the engine's successor."""
        self.renewals.clear()
        self.ring.clear()
        for row in range(len(self._started)):
            self._started[row] = _FREE


def addressed(task_id: str, reply_to: str | None) -> str:
    """Return the id with where the message wants its result, for `EngineBoard.begin`."""
    return task_id if reply_to is None else f"{task_id}{_ADDRESS}{reply_to}"


def as_written(tag: str) -> str:
    """Return a tag as it reads on the board, where very long ones are cut."""
    return tag.encode()[:143].decode(errors="ignore")


def _size(rows: int) -> int:
    """Return how many bytes the board of one engine takes: a multiple of 8, as pulses want it."""
    return _HEAD + (rows + _REMEMBERED) * (8 + _ROW.size + _AREA)


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


def _told(identity: bytes, name: bytes) -> tuple[str, str, str | None]:
    task_id, _, reply_to = identity.decode(errors="replace").partition(_ADDRESS)
    return task_id, name.decode(errors="replace"), reply_to or None
