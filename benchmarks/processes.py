"""CPU time and memory of a process with all that descend from it, read from Linux's /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return the process and its living descendants."""
    children: dict[int, list[int]] = {}
    for child, fields in _all_stats():
        children.setdefault(int(fields[1]), []).append(child)
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(pid: int) -> float:
    """Return how long the family's living threads have been on a core, by the scheduler's own count in nanoseconds.

    The times in /proc/PID/stat would include threads that have ended, but come in steps of 10 ms a process.
    """
    return sum(_thread_nanoseconds(member) for member in family(pid)) / 1e9


def pss_bytes(pid: int) -> int:
    """Return the family's proportional set size: shared pages are divided among those who share them."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _thread_nanoseconds(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            total += int(task.joinpath("schedstat").read_text().split()[0])
    return total


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields[0] != "X":
                yield int(entry.name), fields


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; of a process that is gone, ones of zero."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"] + ["0"] * 50
    return text.rpartition(")")[2].split()
