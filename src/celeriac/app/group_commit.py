"""Group commit: sends that are made at the same time share a round trip."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from msgspec import Struct

from celeriac.app.loop_bridge import LoopBridge
from celeriac.clock import SYSTEM_CLOCK, Clock
from celeriac.exceptions import BrokerUnavailable, SendIncomplete
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import Outgoing
from celeriac.types import Seconds

_IDLE: Final = 5.0
"""Seconds after which the sending thread ends when nothing came."""
_MOST: Final = 500
"""Messages in one round trip."""


class _Pending(Struct, frozen=True):
    """A message that waits to be sent, since when by `Clock.monotonic`, and who is told."""

    outgoing: Outgoing
    since: Seconds
    future: Future[None]


class GroupCommit:
    """One thread that sends what has gathered while its last batch was under way. Thread-safe.

    When a batch found the broker away, what has waited for `patience` seconds by then fails with it: thousands would
    otherwise wait for one another's timeouts.
    What a parent process has not sent yet stays the parent's: a forked child begins with nothing.
    """

    def __init__(
        self, send: Callable[[Sequence[Outgoing]], None], *, patience: Seconds, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._send = send
        self._patience = patience
        self._clock = clock
        self.forget_parent()
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        self._guard_pending = threading.Condition()
        self._pending: list[_Pending] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._bridge: LoopBridge | None = None

    def add(self, outgoing: Sequence[Outgoing]) -> Sequence[Future[None]]:
        """Return a future for each message that is done when the broker has it; it carries the error otherwise.

        A future that is cancelled before its batch is sent takes its message back. Raises RuntimeError, and takes
        nothing, when the system has no thread for it.
        """
        futures: list[Future[None]] = [Future() for _ in outgoing]
        with self._guard_pending:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="celeriac-group-commit", daemon=True)
                thread.start()
                self._thread = thread
            now = self._clock.monotonic()
            self._pending += [_Pending(each, now, future) for each, future in zip(outgoing, futures, strict=True)]
            self._guard_pending.notify()
        return futures

    async def send(self, outgoing: Outgoing) -> None:
        """Return when the broker has the message; raises as the future of `add` does."""
        # asyncio costs 40 of the 60 ms that `import celeriac` may take (ADR 0004); who is here has imported it.
        import asyncio  # noqa: PLC0415

        bridge, loop = self._bridge, asyncio.get_running_loop()
        if bridge is None or bridge.loop is not loop:
            bridge = self._bridge = LoopBridge(loop, self.add)
        await bridge.send(outgoing)

    def close(self) -> None:
        """Send what is pending, then end the thread."""
        with self._guard_pending:
            self._closed = True
            thread = self._thread
            self._guard_pending.notify()
        if thread is not None:
            thread.join(timeout=_IDLE)

    def _run(self) -> None:
        while batch := self._take():
            # From here on a future cannot be cancelled any more: its message is on the way.
            wanted = [each for each in batch if each.future.set_running_or_notify_cancel()]
            if wanted:
                self._send_batch([each.outgoing for each in wanted], [each.future for each in wanted])

    def _send_batch(self, batch: Sequence[Outgoing], futures: Sequence[Future[None]]) -> None:
        try:
            self._send(batch)
        except SendIncomplete as error:
            _settle(futures, error, failed=frozenset(error.unsent))
        except Exception as error:  # noqa: BLE001  handed to every one who waits
            _settle(futures, error, failed=frozenset(range(len(futures))))
            if isinstance(error, BrokerUnavailable):
                self._give_up(error)
        else:
            _settle(futures, None, failed=frozenset())

    def _give_up(self, error: BrokerUnavailable) -> None:
        """Fail what has waited as long as a caller may for a broker that is away."""
        latest = self._clock.monotonic() - self._patience
        with self._guard_pending:
            late = [each for each in self._pending if each.since <= latest]
            self._pending = self._pending[len(late) :]
        for each in late:
            if each.future.set_running_or_notify_cancel():
                each.future.set_exception(error)

    def _take(self) -> list[_Pending]:
        with self._guard_pending:
            if not self._pending and not self._closed:
                self._guard_pending.wait(_IDLE)
            batch, self._pending = self._pending[:_MOST], self._pending[_MOST:]
            if not batch:
                self._thread = None
            return batch


def _settle(futures: Sequence[Future[None]], error: Exception | None, *, failed: frozenset[int]) -> None:
    for position, future in enumerate(futures):
        if error is not None and position in failed:
            future.set_exception(error)
        else:
            future.set_result(None)
