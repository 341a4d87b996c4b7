"""The machine: its facts, and how fast it is at this moment."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """Return what a reader needs to judge the figures; nothing that tells whose machine it is."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def calibrate() -> dict[str, float]:
    """Run a fixed loop of plain Python; return its loops per second of wall clock and of CPU.

    Where the two differ, others used the core meanwhile; where the second one differs between rounds, the core itself
    was slower.
    """
    loops = 300_000
    started, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(loops):
        total += number & 7
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert total
    return {"per_second": loops / wall, "per_cpu_second": loops / cpu}


_SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == int(sys.argv[2]):
    for _ in range(1000000):
        pass
"""


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep every core from halting, by a loop on each that gives way to whoever has something to do.

    Where a core has halted, whoever wakes it pays for that: on a virtual machine tens of microseconds of CPU, more than
    all that a sender does itself.
    """
    spinners = [
        subprocess.Popen([sys.executable, "-c", _SPIN, str(core), str(os.getpid())])
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
