"""A crew of nodes that gets killed: at any moment, or amid the work."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.faults.trouble import Cut, FaultPlace, runs_of
from tests.integration.worker.node import WorkerProcess, stand_still


class Strike(NamedTuple):
    """A kill amid the work: which processes were ended, and what each engine of the struck ran just then."""

    killed: frozenset[int]
    under_way: dict[int, str]


class Crew:
    """Nodes that work, and are replaced at once when they are killed."""

    def __init__(self, place: FaultPlace, *, nodes: int = 2, chance: random.Random) -> None:
        self.place = place
        self.chance = chance
        self.kills = 0
        self.strikes: list[Strike] = []
        self.cut: dict[int, list[Cut]] = defaultdict(list)
        self.nodes = [place.node(ready=False) for _ in range(nodes)]
        for node in self.nodes:
            node.wait_ready()

    def strike(self, what: str | None = None) -> None:
        """Kill a ``node`` (its own process alone), an ``engine``, or ``both``: a node with all its engines."""
        what = what or self._choose()
        node = self.chance.choice(self.nodes)
        engines = node.engines()
        if what == "engine" and engines:
            self._kill_engine(self.chance.choice(engines))
        else:
            self._kill(node, what)

    def strike_at_work(self, keep_busy: Callable[[], None], *, deadline: float) -> None:
        """Kill one of these while a task runs in an engine of the struck, as the ledger tells.

        The struck stand still for the look at the ledger, so what ran then runs when they are killed. A node that is
        not up yet is waited for; `keep_busy` is called meanwhile.
        """
        what = self._choose()
        node = self.chance.choice(self.nodes)
        ends = time.monotonic() + deadline
        while not self._is_struck_at_work(node, what):
            if time.monotonic() > ends:
                raise AssertionError(f"node {node.pid} was not at work within {deadline} s:\n{node.log}")
            keep_busy()
            time.sleep(self.chance.uniform(0, 0.02))

    def unfinished(self) -> dict[int, str]:
        """Return by engine what the struck were running and nobody has run to its end: nothing, if all is well.

        What ended in an engine that was killed amid it is told too: something is wrong with the ledger then.
        """
        runs = runs_of(self.place.ledger)
        found = {}
        for strike in self.strikes:
            for pid, subject in strike.under_way.items():
                mine = [run for run in runs[subject] if run.pid == pid]
                was_cut_off = pid not in strike.killed or any(run.end is None for run in mine)
                if not was_cut_off or all(run.end is None for run in runs[subject]):
                    found[pid] = subject
        return found

    def _choose(self) -> str:
        return self.chance.choice(["node", "engine", "both"])

    def _is_struck_at_work(self, node: WorkerProcess, what: str) -> bool:
        engines = node.engines()
        if what == "engine" and engines:
            engines = [self.chance.choice(engines)]
        with stand_still(engines if what == "engine" else node.family()) as struck:
            under_way = self._under_way(engines)
            if not under_way:
                return False
            if what == "engine":
                self._kill_engine(engines[0])
            else:
                self._kill(node, what)
        self.strikes.append(Strike(frozenset([node.pid] if what == "node" else struck), under_way))
        return True

    def _under_way(self, engines: Iterable[int]) -> dict[int, str]:
        last = {line.pid: line for line in self.place.ledger.lines()}
        return {pid: last[pid].subject for pid in engines if pid in last and last[pid].event == "begin"}

    def _kill_engine(self, pid: int) -> None:
        self.kills += 1
        self.cut[pid].append(Cut(time.monotonic()))
        os.kill(pid, signal.SIGKILL)

    def _kill(self, node: WorkerProcess, what: str) -> None:
        self.kills += 1
        now = time.monotonic()
        for pid in node.family():
            self.cut[pid].append(Cut(now))
        if what == "node":
            node.kill_supervisor()
        else:
            node.kill()
        self.nodes[self.nodes.index(node)] = self.place.node(ready=False)
