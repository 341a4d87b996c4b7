"""What the system tells of a process."""

from __future__ import annotations

from pathlib import Path


def kib(pid: int, field: str) -> int:
    """Return a field of ``/proc/PID/status``, such as ``VmRSS``; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
