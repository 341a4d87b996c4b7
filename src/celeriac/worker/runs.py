"""Running a job: it stands on the board while it runs, and what comes of it is completed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.interfaces.executor import TimeLeft
from celeriac.interfaces.revocations import Revocation
from celeriac.types import Seconds
from celeriac.worker.admission import Job
from celeriac.worker.board import FOLLOWED, EngineBoard, addressed
from celeriac.worker.completion import Completer
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.limits import soft_limits
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.revoked import Revoked
from celeriac.worker.sequel import has_sequel
from celeriac.worker.wear import Wear

if TYPE_CHECKING:
    import asyncio

_UNWILLING: Final[Seconds] = 5.0
"""Seconds beyond its hard limit after which a coroutine that will not be cancelled takes its engine with it."""

_TOLD: Final = 1000
"""Runs that were told to end and are remembered: more than there are at once."""

_ACK: Final = Settle.ACK  # a member of an enum takes several hundred instructions to look up
_encode = msgspec.msgpack.Encoder().encode


class Runs:
    """Runs jobs. Thread-safe. Without a `board` nobody reads what runs: the engine is in the node's own process.

    `refused` is the end of a job that was revoked after it was admitted.
    """

    def __init__(  # noqa: PLR0913  all from different parts of the engine
        self,
        board: EngineBoard | None,
        completer: Completer,
        crashes: CrashCounter,
        wear: Wear,
        revoked: Revoked,
        refused: Callable[[Job, Revocation], Completion],
        *,
        is_inline: bool,
    ) -> None:
        self._board = board
        self._completer = completer
        self._crashes = crashes
        self._wear = wear
        self._soft_limits = soft_limits(in_main_thread=is_inline)
        self._is_inline = is_inline
        self._revoked = revoked
        self._refused = refused
        self._running: dict[str, Job] = {}
        self._coroutines: dict[str, asyncio.Task[Any] | None] = {}
        self._told_to_end: deque[str] = deque(maxlen=_TOLD)

    def run(self, job: Job) -> Seconds:
        """Run a synchronous job in this thread; return how long it took. Raises nothing that the task raises."""
        started, tag, runner = time.monotonic(), job.delivery.lease.tag, job.runner
        row = 0
        if self._is_inline:
            row = self._begin(job, tag, started, hard=runner.hard_limit(job.call))
        elif self._board is not None:
            row = self._board.begin(tag, started)  # without a name: others run in this engine, nobody may end it
        self._running[tag] = job
        try:
            if self._revoked.is_empty or (revocation := self._revoked.of(job.call)) is None:
                completion = runner.run(job, self._soft_limits)
            else:
                completion = self._refused(job, revocation)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is recorded, and the slot goes on
            completion = runner.broken(job, error)
        del self._running[tag]
        self._end(job, completion, row)
        return time.monotonic() - started

    async def run_async(self, job: Job, time_left: TimeLeft) -> Seconds:
        """Run a coroutine in this thread's event loop; return how long it took."""
        import asyncio  # noqa: PLC0415  ADR 0004

        started, tag = time.monotonic(), job.delivery.lease.tag
        hard = job.runner.hard_limit(job.call)
        row = self._begin(job, tag, started, hard=None if hard is None else hard + _UNWILLING)
        self._coroutines[tag], self._running[tag] = asyncio.current_task(), job  # who finds the job finds the other
        try:
            if self._revoked.is_empty or (revocation := self._revoked.of(job.call)) is None:
                completion = await job.runner.run_async(job, time_left)
            else:
                completion = self._refused(job, revocation)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is recorded, and the loop goes on
            completion = job.runner.broken(job, error)
        del self._running[tag]
        task = self._coroutines.pop(tag)
        self._end(job, completion, row)
        if task is not None and task.cancelling():
            with suppress(asyncio.CancelledError):  # what the task asked for in its last step: it is over already
                await asyncio.sleep(0)
        return time.monotonic() - started

    def end_revoked(self) -> dict[str, str]:
        """Have those that run end that are revoked with a signal, as far as they let themselves.

        Return the signals, by tag, of those for which the engine may be ended when they do not.
        """
        ending = {}
        for tag, job in list(self._running.items()):
            revocation = self._revoked.ends(job.call)
            if revocation is None:
                continue
            coroutine = self._coroutines.get(tag)
            if coroutine is not None or self._is_inline:  # otherwise its engine is not ended for it
                ending[tag] = revocation.signal
            if tag in self._told_to_end:  # more than once would break off how it tidies up
                continue
            self._told_to_end.append(tag)
            if coroutine is None:
                self._soft_limits.end(tag)
            else:
                with suppress(RuntimeError):  # its loop has ended, and so has it
                    coroutine.get_loop().call_soon_threadsafe(coroutine.cancel)
        return ending

    def _begin(self, job: Job, tag: str, now: Seconds, *, hard: Seconds | None) -> int:
        """Write down what runs, and when it must have ended, where its engine can be ended for it."""
        board = self._board
        if board is None:
            return 0
        call, runner = job.call, job.runner
        is_once = not runner.acks_late and runner.is_once(call)
        if hard is None and not is_once:
            return board.begin(tag, now, task_id=call.id)
        whole = addressed(call.id, call.reply_to)
        if hard is None:
            return board.begin(tag, now, task_id=whole, is_once=True)
        name = call.name + FOLLOWED if has_sequel(call) else call.name
        return board.begin(tag, now, now + hard, task_id=whole, name=name, is_once=is_once)

    def _end(self, job: Job, completion: Completion, row: int) -> None:
        if self._board is not None:
            # What the supervisor has to store before it acknowledges in place of a dead engine; None if that won't do:
            # a completion that sends something needs an engine.
            left = None
            if completion.settle is _ACK and not completion.follow_ups and completion.sequel is None:
                left = b"" if completion.record is None else _encode(completion.record)
            self._board.end(row, left)
        delivery = job.delivery
        is_counted = delivery.redelivered and delivery.crashes is None
        if is_counted and completion.settle is Settle.REQUEUE and job.acks_late:
            self._crashes.count_back(job.call)
        self._completer.add(completion)
        if self._wear.is_limited:
            self._wear.note()
