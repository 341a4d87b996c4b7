"""Knowing whether the node does its work: whether its stores have answered it lately."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.types import Seconds
from celeriac.worker.health_file import HealthReport, State, other_writer, remove_report, write_report
from celeriac.worker.pulse import Pulse

logger = logging.getLogger(__name__)

_INTERVAL: Final[Seconds] = 2.0
_REWRITE: Final[Seconds] = 3.5
"""A file that says nothing new is written again when it is older: each time costs an idle node a millisecond."""


@dataclass(frozen=True, slots=True)
class Round:
    """Something that the node does again and again: when it last succeeded, and how long ago that may be."""

    last: Callable[[], Seconds]
    limit: Seconds


class Health:
    """A thread that judges the node each two seconds, and gives up a node beyond recovery.

    It writes its judgement to a file, when it is new and each four seconds.

    Before `observe` the node is starting: that too may take only `limit` seconds. An engine is judged by what it asks
    for and is not answered, so one that is busy with a long task is healthy. `limit` is for receives, `lease` for
    completions that wait to be stored. When the node has failed for `exit_after` seconds (None: never), `give_up` is
    called once, from this thread; nothing is expected of a node that `is_stopping`. All spans are in seconds.
    """

    def __init__(  # noqa: PLR0913  what it judges by, and what it may do
        self,
        path: Path,
        nodename: str,
        *,
        limit: Seconds,
        lease: Seconds,
        exit_after: Seconds | None,
        give_up: Callable[[], None],
        is_stopping: Callable[[], bool],
        clock: Clock = SYSTEM_CLOCK,  # engines write their moments by the system's
    ) -> None:
        self._path = path
        self._nodename = nodename
        self._limit = limit
        self._lease = lease
        self._exit_after = exit_after
        self._give_up = give_up
        self._is_stopping = is_stopping
        self._clock = clock
        self._began = clock.monotonic()
        self._pulses: Sequence[Pulse] = ()
        self._rounds: Mapping[str, Round] = {}
        self._is_observing = False
        self._failing_since: Seconds | None = None
        self._cannot_write = False
        self._written: HealthReport | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="celeriac-health", daemon=True)
        self.gave_up = False
        """Whether the node was given up."""

    def start(self) -> None:
        """Begin, and warn when another node of this name writes the same file."""
        other = other_writer(self._path, now=self._clock.now())
        if other is not None:
            text = "Process %s is a node of this name too, and writes the same %s: give one of them another name (-n)"
            logger.warning(text, other, self._path)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and remove the file."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        remove_report(self._path, pid=os.getpid())

    def observe(self, pulses: Sequence[Pulse], rounds: Mapping[str, Round]) -> None:
        """Judge by the engines' pulses, in the order of their numbers, and by what the node itself does."""
        self._rounds = rounds
        self._pulses = pulses
        self._began = self._clock.monotonic()
        self._is_observing = True

    def check(self) -> HealthReport:
        """Judge the node, write that down if need be, and give the node up when its time is over; return the report."""
        report = self._report()
        if self._is_worth_writing(report):
            self._write(report)
        if report.state != "failing":
            if self._failing_since is not None:
                logger.warning("This node is %s again", report.state)
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._clock.monotonic()
            logger.error("This node is failing: %s", report.reason)
        elif self._exit_after is not None and not self.gave_up:
            failing = self._clock.monotonic() - self._failing_since
            if failing >= self._exit_after:
                self.gave_up = True
                text = "This node has been failing for %.0f s and stops, so that another can be started: %s"
                logger.critical(text, failing, report.reason)
                self._give_up()
        return report

    def _run(self) -> None:
        while True:
            self.check()
            if self._stopped.wait(_INTERVAL):
                return

    # -- judging ----------------------------------------------------------------------------------------------------

    def _report(self) -> HealthReport:
        now = self._clock.monotonic()
        reasons = [] if self._is_stopping() else self._reasons(now)
        return HealthReport(
            pid=os.getpid(),
            nodename=self._nodename,
            state=self._state(reasons),
            written=self._clock.now(),
            reason="; ".join(reasons),
            ages=self._ages(now),
        )

    def _state(self, reasons: Sequence[str]) -> State:
        if self._is_stopping():
            return "stopping"
        if reasons:
            return "failing"
        return "healthy" if self._is_observing else "starting"

    def _reasons(self, now: Seconds) -> list[str]:
        if not self._is_observing:
            age = now - self._began
            return [f"the broker has not been reached for {age:.0f} s"] if age > self._limit else []
        reasons = []
        for index, pulse in enumerate(self._pulses, start=1):
            asking, storing = pulse.asking_since, pulse.storing_since
            if asking and now - asking > self._limit:
                reasons.append(f"engine {index} has received no answer for {now - asking:.0f} s")
            if storing and now - storing > self._lease:
                reasons.append(f"engine {index} could store nothing for {now - storing:.0f} s")
        for name, each in self._rounds.items():
            age = now - max(self._began, each.last())
            if age > each.limit:
                reasons.append(f"{name} did not succeed for {age:.0f} s")
        return reasons

    def _ages(self, now: Seconds) -> dict[str, Seconds]:
        moments: dict[str, Seconds] = {}
        for index, pulse in enumerate(self._pulses, start=1):
            moments[f"received {index}"] = pulse.received_at
            moments[f"stored {index}"] = pulse.stored_at
        for name, each in self._rounds.items():
            moments[name] = each.last()
        return {name: round(now - max(self._began, moment), 1) for name, moment in moments.items()}

    def _is_worth_writing(self, report: HealthReport) -> bool:
        last = self._written
        if last is None or (report.state, report.reason) != (last.state, last.reason):
            return True
        return not 0 <= report.written - last.written < _REWRITE

    def _write(self, report: HealthReport) -> None:
        try:
            write_report(self._path, report)
            self._cannot_write = False
            self._written = report
        except OSError as error:
            if not self._cannot_write:
                logger.warning("The health file %s cannot be written; trying again: %s", self._path, error)
            self._cannot_write = True
