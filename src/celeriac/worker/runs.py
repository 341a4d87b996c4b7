"""Running a job: it stands on the board while it runs, and what comes of it is completed."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from celeriac.types import Seconds
from celeriac.worker.admission import Job
from celeriac.worker.board import FOLLOWED, EngineBoard, addressed
from celeriac.worker.completion import Completer
from celeriac.worker.crashes import CrashCounter
from celeriac.worker.limits import soft_limits
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.sequel import has_sequel
from celeriac.worker.wear import Wear

_UNWILLING: Final[Seconds] = 5.0
"""Seconds beyond its hard limit after which a coroutine that will not be cancelled takes its engine with it."""

_encode = msgspec.msgpack.Encoder().encode


class Runs:
    """Runs jobs. Thread-safe. Without a `board` nobody reads what runs: the engine is in the node's own process."""

    def __init__(
        self,
        board: EngineBoard | None,
        completer: Completer,
        crashes: CrashCounter,
        wear: Wear,
        *,
        is_inline: bool,
    ) -> None:
        self._board = board
        self._completer = completer
        self._crashes = crashes
        self._wear = wear
        self._soft_limits = soft_limits(in_main_thread=is_inline)
        self._is_inline = is_inline

    def run(self, job: Job) -> Seconds:
        """Run a synchronous job in this thread; return how long it took. Raises nothing that the task raises."""
        started = time.monotonic()
        row = self._begin(job, started, hard=job.runner.hard_limit(job.call) if self._is_inline else None)
        try:
            completion = job.runner.run(job, self._soft_limits)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is recorded, and the slot goes on
            completion = job.runner.broken(job, error)
        self._end(job, completion, row)
        return time.monotonic() - started

    async def run_async(self, job: Job) -> Seconds:
        """Run a coroutine in this thread's event loop; return how long it took."""
        started = time.monotonic()
        hard = job.runner.hard_limit(job.call)
        row = self._begin(job, started, hard=None if hard is None else hard + _UNWILLING)
        try:
            completion = await job.runner.run_async(job)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is recorded, and the loop goes on
            completion = job.runner.broken(job, error)
        self._end(job, completion, row)
        return time.monotonic() - started

    def _begin(self, job: Job, now: Seconds, *, hard: Seconds | None) -> int:
        """Write down what runs, and when it must have ended, where its engine can be ended for it."""
        board, tag = self._board, job.delivery.lease.tag
        if board is None:
            return 0
        if hard is None:
            return board.begin(tag, now)
        name = job.call.name + FOLLOWED if has_sequel(job.call) else job.call.name
        return board.begin(tag, now, now + hard, task_id=addressed(job.call.id, job.call.reply_to), name=name)

    def _end(self, job: Job, completion: Completion, row: int) -> None:
        if self._board is not None:
            self._board.end(row, _what_is_left(completion))
        is_counted = job.delivery.redelivered and job.delivery.crashes is None
        if is_counted and completion.settle is Settle.REQUEUE and job.runner.acks_late:
            self._crashes.count_back(job.call)
        self._completer.add(completion)
        self._wear.note()


def _what_is_left(completion: Completion) -> bytes | None:
    """Return what the supervisor has to store before it acknowledges in place of a dead engine; None if that won't do.

    A completion that sends something needs an engine.
    """
    if completion.settle is not Settle.ACK or completion.follow_ups or completion.sequel is not None:
        return None
    return b"" if completion.record is None else _encode(completion.record)
