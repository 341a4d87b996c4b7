"""One long task among many short ones, on four slots: whether short tasks wait behind the long one."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.scenarios.draining import REST
from benchmarks.scenarios.scenario import Scenario
from benchmarks.site import Client, Site
from benchmarks.systems.system import Shape

_SLOTS = 4
_SHORT = 0.01
_LONG_PER_TASK = 0.06
"""Seconds of the long task for each task in all: 60 s beside 999 short ones."""


def measure(site: Site, tasks: int) -> dict[str, float]:
    shape = Shape("slots", _SLOTS)
    long, before = tasks * _LONG_PER_TASK, tasks // 10
    with site.client() as client:
        _send(client, before, _SHORT)
        _send(client, 1, long)
        _send(client, tasks - before - 2, _SHORT)
        site.store.hide()
        with site.worker(shape):
            client.do("round_trips", count=_SLOTS, pause=0.0)
            time.sleep(REST * 2)  # four engines start
            started = time.monotonic()
            site.store.show()
            _send(client, 1, _SHORT)  # tells a worker that sleeps
            ends = _ends(site, tasks)
    short = [end - started for seconds, end in ends if seconds == _SHORT]
    # Four slots until the long task's turn, three after it.
    optimal = before * _SHORT / _SLOTS + (tasks - 1 - before) * _SHORT / (_SLOTS - 1)
    return {
        "makespan": (max(end for _, end in ends) - started) / max(long, optimal),
        "makespan_short": max(short) / optimal,
    }


def _send(client: Client, count: int, seconds: float) -> None:
    client.do("send_many", count=count, task="mark", value=seconds)


def _ends(site: Site, tasks: int) -> list[tuple[float, float]]:
    """Return what each task slept and when it ended, when all have."""
    ledger = Path(site.ledger)
    deadline = time.monotonic() + tasks * _LONG_PER_TASK * 2 + 30
    while time.monotonic() < deadline:
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        if len(lines) >= tasks:
            return [(float(seconds), float(end)) for seconds, end in map(str.split, lines)]
        time.sleep(0.1)
    raise RuntimeError(f"{site.system.title} had not finished in time")


SCENARIO = Scenario(
    name="makespan",
    title="One task of 60 s and 999 of 10 ms on 4 slots (a tenth of each when fast)",
    figures=(
        Figure("makespan", "until all are done, times the optimum", "", targets=(Target(1.1),)),
        Figure("makespan_short", "until the short ones are done, times the optimum", ""),
    ),
    measure=measure,
    tasks=1000,
    fast=100,
    even=True,
    only=("celeriac", "celery", "dramatiq", "huey"),
    together=True,
    work="mixed",
)
