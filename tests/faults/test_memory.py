"""Tasks that take all memory there is: refused more by the system, or ended by it, or replaced before that."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any, Self

from celeriac import AsyncResult
from celeriac.exceptions import TaskError, WorkerLostError
from tests.faults.conftest import Scale
from tests.faults.processes import kib
from tests.faults.trouble import Cut, FaultPlace, runs_of, strays
from tests.integration.worker.node import WorkerProcess, until

WAIT = 30.0
MEBIBYTE = 1 << 20
ROOM = 64 * MEBIBYTE
"""Bytes that an engine may take beyond what it has at its start."""
PIECES = {"at once": 1 << 40, "in large pieces": MEBIBYTE, "in small pieces": 100}
Results = dict[str, AsyncResult[Any]]
ENDS_WITHOUT_MEMORY = (MemoryError, TaskError, WorkerLostError, SystemError)
"""The last is what CPython 3.11 raises where it has no memory for the frame of a call ("error return without exception
set": the chunk of its stack of frames is not to be had, and nobody has said so)."""


def test_a_task_that_the_system_refuses_memory_fails_and_its_engine_lives(
    place: FaultPlace, scale: Scale, figures
) -> None:
    worker = place.node()
    engines = worker.engines()
    others, greedy = send_greedy_among_others(place, rounds=scale.of(2, 20))
    for subject, result in greedy.items():
        assert isinstance(result.get(timeout=WAIT, propagate=False), MemoryError), subject
        assert result.state == "FAILURE"
    place.until_ended(set(others), deadline=WAIT)
    runs = runs_of(place.ledger)
    figures(tasks=len(others), failed=len(greedy), lost=0, duplicated=len(place.ledger.repeated("end")))
    assert {subject: len(each) for subject, each in runs.items()} == dict.fromkeys([*greedy, *others], 1)
    assert worker.engines() == engines, "an engine was lost"
    assert place.stats().dead == 0
    assert worker.terminate() == 0, worker.log


def test_threads_to_which_another_leaves_no_memory_all_come_to_an_end(place: FaultPlace, scale: Scale, figures) -> None:
    """They may be refused memory themselves, or their engine, which is replaced then. None is held for ever."""
    worker = place.node("-P", "threads", "-c", "3")
    others, greedy = send_greedy_among_others(place, rounds=scale.of(2, 20))
    refused = 0
    for subject, result in (others | greedy).items():
        value = result.get(timeout=WAIT, propagate=False)
        assert isinstance(value, ENDS_WITHOUT_MEMORY) or (value is None and subject in others), (subject, value)
        refused += subject in others and value is not None
    place.until_idle(deadline=WAIT)
    replaced = worker.log.count("ended by itself")
    figures(tasks=len(others), failed=len(greedy), lost=0, refused=refused, engines_replaced=replaced)
    place.until_ended(place.send_work(3, first=len(others)), deadline=WAIT)
    assert worker.terminate() == 0, worker.log


def send_greedy_among_others(place: FaultPlace, *, rounds: int) -> tuple[Results, Results]:
    """Send some that take all memory with others between them; return the results of these and of those."""
    others: Results = {}
    greedy: Results = {}
    for number in range(rounds):
        for how, size in PIECES.items():
            for subject in range(len(others), len(others) + 10):
                others[str(subject)] = place.send_task("work", subject)
            subject = f"{how} {number}"
            greedy[subject] = place.send_task("fill", subject, size, ROOM)
    return others, greedy


def test_a_task_whose_engine_is_killed_for_its_memory_is_a_dead_letter_after_3_crashes(
    place: FaultPlace, scale: Scale, figures
) -> None:
    neighbours, each = scale.of(60, 500), scale.of(1, 5)
    greedy = [f"greedy-{number}" for number in range(each)]
    wanted = place.send_work(neighbours // 2)
    results = [place.send_task("grow", subject, 1024) for subject in greedy]
    wanted |= place.send_work(neighbours // 2, first=neighbours // 2)
    worker = place.node()
    with MemoryKiller(worker) as killer:
        until(lambda: place.stats().dead == each, "the dead letters", deadline=WAIT * each)
        place.until_ended(wanted, deadline=WAIT)
    runs = runs_of(place.ledger)
    twice = place.ledger.repeated("end")
    figures(tasks=neighbours, kills=len(killer.cuts), lost=0, duplicated=len(twice))
    # A store that cannot tell a death from giving back takes the one for the other once: see ADR 0021.
    counts = {3} if place.app.broker.capabilities.tells_deaths else {2, 3}
    assert {len(runs[subject]) for subject in greedy} <= counts
    assert [run.end for subject in greedy for run in runs[subject] if run.end is not None] == []
    assert {run.pid for subject in greedy for run in runs[subject]} == set(killer.cuts)
    assert strays(place.ledger, killer.cuts) == {}, "a neighbour ran twice whose end could have been stored"
    assert all("worker died 3 times" in letter.reason for letter in place.app.dead_letters.list())
    assert all("WorkerLostError" in repr(result.get(timeout=WAIT, propagate=False)) for result in results)
    assert worker.terminate() == 0, worker.log


def test_an_engine_that_grew_too_large_is_replaced_after_its_task(place: FaultPlace, scale: Scale, figures) -> None:
    tasks, most_kib = scale.of(24, 240), 96 * 1024
    worker = place.node("-c", "2", "--", f"worker.max_memory_per_child={most_kib}")
    wanted = {str(number) for number in range(tasks)}
    for subject in wanted:
        place.send_task("leak", subject, 16 * MEBIBYTE)
    wanted |= place.send_work(tasks, first=tasks)
    place.until_ended(wanted, deadline=tasks * WAIT / 20)
    engines = place.ledger.pids("resident")
    largest = max(map(int, place.ledger.subjects("resident")))
    figures(tasks=len(wanted), lost=0, replaced=len(engines), largest_kib=largest)
    assert largest <= most_kib, "a task began in an engine that was too large"
    assert len(engines) >= tasks * 16 // 96
    assert worker.log.count("is replaced: it uses") >= len(engines) - 2
    assert {len(each) for each in runs_of(place.ledger).values()} == {1}
    assert place.stats().dead == 0
    assert worker.terminate() == 0, worker.log


class MemoryKiller:
    """Does what the kernel does when memory runs out: SIGKILL to the engine that has too much. `cuts` are its kills."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.cuts: dict[int, list[Cut]] = {}
        self._worker = worker
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-killer")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(WAIT)

    def _run(self) -> None:
        most = ROOM // 1024 + max(kib(pid, "VmRSS") for pid in self._worker.engines())
        while not self._is_over.wait(0.01):
            for pid in self._worker.engines():
                if pid not in self.cuts and kib(pid, "VmRSS") > most:
                    self.cuts[pid] = [Cut(time.monotonic())]
                    os.kill(pid, signal.SIGKILL)
