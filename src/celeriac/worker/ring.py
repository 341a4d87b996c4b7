"""Frames from one process to another through memory that both have mapped: no system call, and nobody is woken."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final

_WRITTEN, _READ = range(2)
_LENGTH: Final = 4
"""Bytes before each frame that tell how long it is."""


class Ring:
    """A queue of frames, bytes of any content. One process puts, another takes, each under a lock of its own.

    Both count the bytes that they wrote and read since the beginning, each in a cell of its own that is written whole
    and last: a writer that is killed amid a frame has written none.
    """

    HEAD: Final = 2 * 8
    """Bytes that it takes up beside its `size`. They begin at a multiple of 8, so that no cell is read half."""

    def __init__(self, memory: mmap.mmap | bytearray, offset: int, size: int) -> None:
        whole = memoryview(memory)
        start = offset + self.HEAD
        self.size = size
        self._cells = whole[offset:start].cast("Q")
        self._bytes = whole[start : start + size]

    def put(self, frame: bytes) -> int:
        """Append a frame; return how many bytes wait to be taken now. 0 when it does not fit, until some were taken."""
        cells, size = self._cells, self.size
        written = cells[_WRITTEN]
        whole = len(frame).to_bytes(_LENGTH, "little") + frame
        end = written + len(whole)
        waiting: int = end - cells[_READ]
        if waiting > size:
            return 0
        place = written % size
        first = size - place
        if len(whole) <= first:
            self._bytes[place : place + len(whole)] = whole
        else:
            self._bytes[place:] = whole[:first]
            self._bytes[: len(whole) - first] = whole[first:]
        cells[_WRITTEN] = end
        return waiting

    def take(self) -> Iterator[bytes]:
        """Yield the frames that were put and not taken by now, oldest first. Each is taken when it is yielded."""
        read, written = self._cells[_READ], self._cells[_WRITTEN]
        while read < written:
            length = int.from_bytes(self._copy(read, _LENGTH), "little")
            frame = self._copy(read + _LENGTH, length)
            read += _LENGTH + length
            self._cells[_READ] = read
            yield frame

    def clear(self) -> None:
        """Begin anew, for another writer."""
        self._cells[_WRITTEN] = self._cells[_READ] = 0

    def _copy(self, position: int, length: int) -> bytes:
        place = position % self.size
        if place + length <= self.size:
            return bytes(self._bytes[place : place + length])
        return bytes(self._bytes[place:]) + bytes(self._bytes[: place + length - self.size])
