"""A place for trouble, a producer that works there, and what the ledger says of it afterwards."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from celeriac import AsyncResult
from celeriac.app.dispatch import Call
from celeriac.exceptions import OperationalError
from tests.integration.worker.ledger import Ledger
from tests.integration.worker.node import WorkerProcess, until
from tests.integration.worker.place import Place

APPS = Path(__file__).with_name("apps")
UNSTORED = 1.0
"""Seconds that the end of a task may wait to be stored on a busy machine; if its holder is cut off then, it reruns."""


class Cut(NamedTuple):
    """When a process was cut off from the store, by a clock that all processes share, and when that was over."""

    begins: float
    ends: float = float("inf")


class Run(NamedTuple):
    """One run of a task: who, from when, until when (None: it never ended)."""

    pid: int
    begin: float
    end: float | None

    def is_excused(self, cuts: Iterable[Cut]) -> bool:
        """Tell whether its holder was cut off while it ran, or before its end could be stored."""
        end = float("inf") if self.end is None else self.end
        return any(self.begin <= cut.ends and end >= cut.begins - UNSTORED for cut in cuts)


class FaultPlace(Place):
    """A place whose workers know the tasks of `apps/trouble.py`, or of another module there."""

    def __init__(self, directory: Path, **more: Any) -> None:
        super().__init__(directory, **more)
        self.tasks = "trouble"
        for module in APPS.glob("*.py"):
            shutil.copy(module, directory)

    def node(self, *arguments: str, ready: bool = True) -> WorkerProcess:
        return self.worker(*(arguments or ("-c", "2")), app=self.tasks, ready=ready)

    @property
    def copies(self) -> int:
        """How many messages there may be of a task whose holder was cut off: see the price of ADR 0021."""
        return 1 if self.app.broker.capabilities.tells_deaths else 2

    @property
    def tells_repeats(self) -> bool:
        """Whether the store knows a message that is sent again because the answer got lost. AMQP has no word for it."""
        return not self.broker_url.startswith("amqp")

    def send_task(self, name: str, *args: Any, **options: Any) -> AsyncResult[Any]:
        return self.app.send_task(f"trouble.{name}", args, **options)

    def send_work(self, number: int, *, first: int = 0) -> set[str]:
        """Send so many tasks of some milliseconds; return their subjects."""
        calls = [
            Call(name="trouble.work", args=(subject,), kwargs={}, options={})
            for subject in range(first, first + number)
        ]
        self.app.dispatcher.send_many(calls)
        return {str(subject) for subject in range(first, first + number)}

    def until_ended(self, wanted: set[str], *, deadline: float) -> None:
        """Return when all are done and the queue is empty; raise with the number of those that are missing."""
        self.until_done(wanted, deadline=deadline)
        self.until_idle(deadline=deadline)

    def until_done(self, wanted: set[str], *, deadline: float) -> None:
        try:
            until(lambda: wanted <= set(self.ledger.subjects("end")), "the last of the tasks", deadline=deadline)
        except AssertionError as error:
            lost = wanted - set(self.ledger.subjects("end"))
            raise AssertionError(f"{len(lost)} of {len(wanted)} lost: {sorted(lost)[:10]}; {self.stats()}") from error


def runs_of(ledger: Ledger) -> dict[str, list[Run]]:
    """Return the runs of each subject in the order of their begins."""
    ends = {(line.pid, line.subject, count): line.moment for line, count in _counted(ledger, "end")}
    runs: dict[str, list[Run]] = defaultdict(list)
    for line, count in _counted(ledger, "begin"):
        runs[line.subject].append(Run(line.pid, line.moment, ends.get((line.pid, line.subject, count))))
    return runs


def _counted(ledger: Ledger, event: str):
    """Yield the lines of an event, each with how often its process had noted the subject before."""
    seen: dict[tuple[int, str], int] = defaultdict(int)
    for line in ledger.lines(event):
        yield line, seen[line.pid, line.subject]
        seen[line.pid, line.subject] += 1


def strays(
    ledger: Ledger, cut: Mapping[int, list[Cut]], everyone: Iterable[Cut] = (), *, copies: int = 1
) -> dict[str, list[Run]]:
    """Return the subjects that ran more than once without the excuse that a holder was cut off.

    `cut` tells of processes, `everyone` of moments at which the broker was away for all. `copies` is how many messages
    there may be of a task whose holder was cut off.
    """
    shared = list(everyone)
    found = {}
    for subject, runs in runs_of(ledger).items():
        plain = [run for run in runs if not run.is_excused([*cut.get(run.pid, ()), *shared])]
        # Who thaws may begin what another has done meanwhile; nobody else runs again what was done in good order.
        has_thawed = any(each.begins <= run.begin for run in runs for each in cut.get(run.pid, ()))
        if len(plain) > copies or (len(runs) > 1 and runs[0] in plain and not has_thawed):
            found[subject] = runs
    return found


class Producer:
    """Sends one task after another in a thread of its own until it is stopped. `sent` are the sends that returned.

    When one has returned, `is_kept` is asked, with the moment at which it began, whether the broker will keep it
    whatever comes. Those of which it does not know are `in_doubt`, and no promise is made for them.
    """

    def __init__(
        self, place: FaultPlace, *, pause: float = 0.005, is_kept: Callable[[float], bool] = lambda _: True
    ) -> None:
        self.sent: set[str] = set()
        self._took: dict[str, Cut] = {}
        self.refused = 0
        self.last_refusal: OperationalError | None = None
        self.in_doubt = 0
        self.longest = 0.0
        self._place, self._pause, self._is_kept = place, pause, is_kept
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def stop(self) -> set[str]:
        """Return the subjects of all sends that returned and are kept."""
        self._is_over.set()
        self._thread.join(15.0)
        assert not self._thread.is_alive(), "a send hangs"
        return self.sent

    def sent_amid(self, trouble: Cut) -> set[str]:
        """Return the subjects of the sends that were under way in `trouble`: they may have been repeated."""
        return {subject for subject, took in self._took.items() if _overlap(took, trouble)}

    def _run(self) -> None:
        number = 0
        while not self._is_over.wait(self._pause):
            number += 1
            began = time.monotonic()
            try:
                self._place.send_task("work", number)
            except OperationalError as error:
                self.refused += 1
                self.last_refusal = error
                self.longest = max(self.longest, time.monotonic() - began)
                continue
            ended = time.monotonic()
            self._took[str(number)] = Cut(began, ended)
            self.longest = max(self.longest, ended - began)
            if self._is_kept(began):
                self.sent.add(str(number))
            else:
                self.in_doubt += 1


def _overlap(one: Cut, other: Cut) -> bool:
    return one.begins <= other.ends and other.begins <= one.ends
