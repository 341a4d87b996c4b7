"""A file beside the system under test: what tasks really did, in the order in which they did it.

Tasks write to it (`note`), tests read it (`Ledger`). A line is written in one piece and is on its way to the disk when
`note` returns, so a process that is killed leaves whole lines.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

VARIABLE = "TESTS_LEDGER"
"""The environment variable that tells tasks where the ledger is."""


class Line(NamedTuple):
    """What somebody noted: the moment by a clock that all processes share, the process, the event, its subject."""

    moment: float
    pid: int
    event: str
    subject: str


def note(event: str, subject: object = "-") -> None:
    """Write one line."""
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, f"{time.monotonic():.6f} {os.getpid()} {event} {subject}\n".encode())
    finally:
        os.close(file)


class Ledger:
    """The test's view of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: list[Line] = []
        self._read = 0
        path.touch()

    def lines(self, event: str | None = None) -> list[Line]:
        """Return the lines, or those of one event, in the order in which they were written."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            new, end, _ = file.read().rpartition(b"\n")
        self._read += len(new + end)
        for text in new.decode().splitlines():
            moment, pid, what, subject = text.split(" ", 3)
            self._known.append(Line(float(moment), int(pid), what, subject))
        return [line for line in self._known if event in (None, line.event)]

    def subjects(self, event: str) -> list[str]:
        return [line.subject for line in self.lines(event)]

    def count(self, event: str) -> int:
        return len(self.lines(event))

    def pids(self, event: str) -> set[int]:
        return {line.pid for line in self.lines(event)}

    def repeated(self, event: str) -> dict[str, int]:
        """Return the subjects that were noted more than once, with their number."""
        return {subject: times for subject, times in Counter(self.subjects(event)).items() if times > 1}

    def most_at_once(self, begin: str, end: str) -> int:
        """Return how many spans from `begin` to `end` were open together at most."""
        most = now = 0
        for line in sorted(self.lines()):
            now += {begin: 1, end: -1}.get(line.event, 0)
            most = max(most, now)
        return most
