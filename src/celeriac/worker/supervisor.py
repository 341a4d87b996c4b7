"""The node's main loop: starts engines, reads their notes, replaces those that die, stops them all."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from celeriac.interfaces.broker import Lease
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds
from celeriac.worker.board import FOLLOWED, EngineBoard, Running, as_written
from celeriac.worker.holdings import Holdings
from celeriac.worker.launch import Launcher
from celeriac.worker.leases import Holder
from celeriac.worker.notes import (
    Ending,
    Finished,
    Full,
    Lost,
    Ready,
    Revoke,
    Stop,
    SupervisorNote,
    encode,
    read_engine_note,
)
from celeriac.worker.recovery import Recovery
from celeriac.worker.terminations import Terminations
from celeriac.worker.waits import Waits

logger = logging.getLogger(__name__)

_LONGEST_PAUSE: Final[Seconds] = 30.0
"""An engine that died before it was ready is started again after a pause, longer each time, up to so many seconds."""
_POLL: Final[Seconds] = 1.0
_ORPHANS: Final[Seconds] = 25.0
_FLUSH: Final[Seconds] = 1.0
"""Seconds that an engine gets, when it is stopped at once, to store what has ended."""
_MARGIN: Final[Seconds] = 2.0
"""Seconds beyond the grace that an engine gets to give back by itself what did not end in time."""


_OWED: Final[Seconds] = 0.05
"""Until it is looked whether an engine whose pipe was full has read it."""
_HEARD: Final[Seconds] = 1.0
"""Seconds that engines get to say that they know what is revoked. One whose interpreter is stuck begins nothing."""
_PER_NOTE: Final = 50
"""Revocations in one note: it has room in a pipe that takes any."""


class _Engine:
    """What the supervisor knows of one engine."""

    def __init__(self, index: int, board: EngineBoard) -> None:
        self.index = index
        self.board = board
        self.overdue: list[Running] = []
        self.revoked: list[Running] = []
        self.owed: deque[Revocation] = deque()
        """What is revoked and it has not been told of."""
        self.unheard = 0
        """Notes of what is revoked that it has not said to know."""
        self.worn: str | None = None
        self.holdings = Holdings(board.unread)
        self.pipe: Connection | None = None
        self.started = 0.0
        self.early_deaths = 0
        self.start_at: float | None = None
        self.is_ready = False
        self.is_done = False
        self.error: str | None = None


class Supervisor:
    """Runs the engines of a node until it is stopped. `run` belongs to one thread; `stop` may come from any."""

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        launcher: Launcher,
        recovery: Recovery,
        *,
        boards: Sequence[EngineBoard],
        grace: Seconds | None,
        on_ready: Callable[[], None],
        revoked: Callable[[], Sequence[Revocation]] = tuple,
    ) -> None:
        self._launcher = launcher
        self._recovery = recovery
        self._engines = [_Engine(index, board) for index, board in enumerate(boards, start=1)]
        self._terminations = Terminations()
        self._revoked = revoked
        self._heard = threading.Condition()
        self._look_at = 0.0
        self._grace = grace
        self._wake, self._waker = os.pipe()
        self._wait = Waits()
        self._on_ready = on_ready
        self._stopping = False
        self._stop_now = False
        self._told_ready = False
        self._told = False
        self._told_now = False
        self._deadline: float | None = None

    def stop(self, *, now: bool = False) -> None:
        """Stop warmly; with `now` (or when called with it later) give back what runs."""
        self._stop_now = self._stop_now or now
        self._stopping = True
        os.write(self._waker, b"!")

    def holders(self) -> Sequence[Holder]:
        """Return what is known of the leases of each engine; it stays true."""
        return [Holder(engine.holdings, engine.board.renewals) for engine in self._engines]

    def lost(self, leases: Sequence[Lease]) -> None:
        """Tell the engines that these are no longer theirs. Thread-safe."""
        tags = {lease.tag for lease in leases}
        for engine in self._engines:
            mine = [lease.tag for lease in engine.holdings.all() if lease.tag in tags]
            if mine:
                engine.holdings.settled(mine)
                self._tell(engine, Lost(mine))

    def revoke(self, revocations: Sequence[Revocation]) -> None:
        """Tell the engines what must not run, and see to it that what runs of it and has to end does. Thread-safe.

        It returns when they know, or after a second.
        """
        for engine in self._engines:
            engine.owed.extend(revocations)
        self._terminations.ask(revocations)
        os.write(self._waker, b"!")
        with self._heard:
            self._heard.wait_for(self._all_have_heard, _HEARD)

    def _all_have_heard(self) -> bool:
        return not any(engine.pipe is not None and (engine.owed or engine.unheard) for engine in self._engines)

    def run(self) -> int:
        """Return the node's exit code: 0 after a stop by request."""
        for engine in self._engines:
            self._launch(engine)
        while not all(engine.is_done for engine in self._engines):
            self._obey()
            self._end_overdue()
            self._end_revoked()
            pause = max(0.0, min(_POLL, min(self._look_at, self._terminations.next_at) - time.monotonic()))
            if any(engine.owed for engine in self._engines):
                pause = min(pause, _OWED)
            ready = self._wait(self._waitables(), pause)
            for one in ready:
                self._attend(one)
            try:
                self._bury(ready)
            except OSError as error:
                logger.critical("The node stops: %s", error)
                self._wait_for_orphans()
                return 1
            self._start_due()
        return 0

    def _wait_for_orphans(self) -> None:
        """Stop engines whose ends nobody reports any more; they have ended when their pipes have."""
        self._tell_all(Stop(now=self._stop_now))
        ends = time.monotonic() + (_ORPHANS if self._grace is None else self._grace)
        while time.monotonic() < ends:
            pipes = [engine.pipe for engine in self._engines if engine.pipe is not None]
            if not pipes:
                return
            for ready in self._wait(pipes, _POLL):
                self._attend(ready)

    def _waitables(self) -> list[Any]:
        pipes = [engine.pipe for engine in self._engines if engine.pipe is not None]
        return [*pipes, self._wake, *self._launcher.waitables()]

    def _attend(self, ready: Any) -> None:
        if ready == self._wake:
            os.read(self._wake, 4096)
            return
        engine = next((engine for engine in self._engines if engine.pipe is ready), None)
        if engine is None:  # the launcher has something to report, see `_bury`
            return
        try:
            self._note(engine, ready.recv_bytes())
        except (EOFError, OSError):
            ready.close()
            engine.pipe = None

    def _note(self, engine: _Engine, frame: bytes) -> None:
        note = read_engine_note(frame)
        if isinstance(note, Full):
            engine.holdings.catch_up()
        elif isinstance(note, Ready):
            engine.is_ready = True
            if not self._told_ready and all(other.is_ready for other in self._engines):
                self._told_ready = True
                self._on_ready()
        elif isinstance(note, Ending):
            self._terminations.note(note.signals)
            self._count_unheard(engine, -1)
        elif isinstance(note, Finished):
            engine.error, engine.worn = note.error, note.worn

    # -- starting and burying ---------------------------------------------------------------------------------------

    def _launch(self, engine: _Engine) -> None:
        engine.start_at = None
        engine.is_ready = False
        engine.error = engine.worn = None
        engine.overdue, engine.revoked = [], []
        engine.owed.clear()
        engine.owed.extend(self._revoked())
        self._count_unheard(engine, -engine.unheard)
        engine.board.clear()
        engine.board.pulse.restart()
        engine.started = time.monotonic()
        engine.pipe = self._launcher.launch(engine.index)

    def _bury(self, ready: Sequence[Any]) -> None:
        """Take note of engines that ended. Raises OSError when none can be started any more."""
        reporters = self._launcher.waitables()
        if reporters and not any(reporter in ready for reporter in reporters):
            return
        for index, status in self._launcher.exits():
            engine = self._engines[index - 1]
            self._read_rest(engine)
            held, ended = engine.holdings.take_all(), engine.board.ended()
            tags = {as_written(lease.tag) for lease in held}
            ran = [*engine.board.running(), *(run for run in engine.board.unkept() if run.tag in tags)]
            is_killed_for_a_task = bool(engine.overdue or engine.revoked)
            if self._stopping and not is_killed_for_a_task:
                if status or held:
                    self._recovery.give_back(index, held, ended, ran)
            elif not engine.worn or status or is_killed_for_a_task:
                self._recovery.settle(index, held, ended, ran, overdue=engine.overdue, revoked=engine.revoked)
            if self._stopping:
                engine.is_done = True
            else:
                self._replace(engine, status, held)

    def _read_rest(self, engine: _Engine) -> None:
        """Read the notes that a dead engine has left in its pipe."""
        pipe = engine.pipe
        while pipe is not None:
            try:
                if not pipe.poll():
                    break
                self._note(engine, pipe.recv_bytes())
            except (EOFError, OSError):
                break
        if pipe is not None:
            pipe.close()
        engine.pipe = None

    def _replace(self, engine: _Engine, status: int, held: Sequence[Lease]) -> None:
        if engine.overdue or engine.revoked:
            engine.start_at = time.monotonic()
            return
        if engine.worn and status == 0:
            logger.info("Engine %s is replaced: %s", engine.index, engine.worn)
            engine.start_at = time.monotonic()
            return
        lived = time.monotonic() - engine.started
        engine.early_deaths = 0 if engine.is_ready else engine.early_deaths + 1
        pause = 0.0 if engine.early_deaths <= 1 else min(_LONGEST_PAUSE, 2.0 ** (engine.early_deaths - 1))
        engine.start_at = time.monotonic() + pause
        why = f"signal {-status}" if status < 0 else f"exit code {status}"
        logger.error(
            "Engine %s ended by itself after %.1f s (%s%s)%s; it is started again%s",
            engine.index,
            lived,
            why,
            f": {engine.error}" if engine.error else "",
            _told_of(len(held)),
            f" in {pause:.0f} s" if pause else "",
        )

    def _start_due(self) -> None:
        for engine in self._engines:
            if engine.start_at is not None and not self._stopping and time.monotonic() >= engine.start_at:
                self._launch(engine)

    def _end_overdue(self) -> None:
        """Kill engines that run a task beyond its hard limit; look again at the next limit, or in a second."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _POLL
        for engine in self._engines:
            for run in engine.board.with_deadline():
                if run.overdue > now:
                    self._look_at = min(self._look_at, run.overdue)
                elif run not in engine.overdue and self._kill(engine):
                    limit = run.overdue - run.started
                    text = "Task %s[%s] ran longer than its time limit of %g s; engine %s is ended"
                    logger.error(text, run.name.rstrip(FOLLOWED), run.task_id, limit, engine.index)
                    engine.overdue.append(run)

    def _end_revoked(self) -> None:
        """Tell engines what is revoked, and kill those in which a revoked task runs that does not end."""
        for engine in self._engines:
            while engine.owed and engine.pipe is not None and _has_room(engine.pipe):
                self._count_unheard(engine, 1)
                some = [engine.owed.popleft() for _ in range(min(_PER_NOTE, len(engine.owed)))]
                self._tell(engine, Revoke(some))
        by_board = {id(engine.board): engine for engine in self._engines}
        for board, run in self._terminations.overdue([engine.board for engine in self._engines]):
            engine = by_board[id(board)]
            if run in board.running() and self._kill(engine):
                logger.warning("Task %s is revoked and has not ended; engine %s is", run.task_id, engine.index)
                engine.revoked.append(run)

    def _count_unheard(self, engine: _Engine, change: int) -> None:
        with self._heard:
            engine.unheard = max(0, engine.unheard + change)
            self._heard.notify_all()

    def _kill(self, engine: _Engine) -> bool:
        """Kill an engine's process. False when there is none, or it has just ended."""
        pid = self._launcher.pid(engine.index)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True

    # -- stopping ---------------------------------------------------------------------------------------------------

    def _obey(self) -> None:
        """Carry out what `stop` asked for."""
        if self._stopping and not self._told:
            self._told = True
            if self._grace is not None:
                self._deadline = time.monotonic() + self._grace + _MARGIN
            self._tell_all(Stop())
        if self._stop_now and not self._told_now:
            self._told_now = True
            self._deadline = time.monotonic() + _FLUSH
            self._tell_all(Stop(now=True))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._end_by_force()

    def _tell_all(self, note: SupervisorNote) -> None:
        for engine in self._engines:
            if engine.pipe is None:
                engine.is_done = engine.start_at is not None or engine.is_done
            else:
                self._tell(engine, note)

    def _tell(self, engine: _Engine, note: SupervisorNote) -> None:
        pipe = engine.pipe
        if pipe is not None:
            try:
                pipe.send_bytes(encode(note))
            except OSError:
                logger.debug("Engine %s has closed its pipe", engine.index)

    def _end_by_force(self) -> None:
        """Kill engines that did not stop in time; what they hold is given back when they have ended."""
        self._deadline = None
        for engine in self._engines:
            if not engine.is_done and self._kill(engine):
                held = _told_of(len(engine.holdings))
                logger.warning("Engine %s still runs a task; it is ended%s", engine.index, held)


def _has_room(pipe: Connection) -> bool:
    """Tell whether a note can be written without a wait for the engine, which may be stuck in a task."""
    try:
        return bool(select.select([], [pipe], [], 0)[1])
    except (OSError, ValueError):
        return True  # closed: writing to it will tell


def _told_of(held: int) -> str:
    if not held:
        return ""
    return "; a task that it held is given back" if held == 1 else f"; {held} tasks that it held are given back"
