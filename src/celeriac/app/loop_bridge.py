"""The way of what another thread has done back to an event loop: all that is done in a moment goes in one call."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class LoopBridge:
    """Ends the waits of one event loop for futures of other threads.

    ``asyncio.wrap_future`` writes to the loop's socket for each, which for a thousand sends costs more than they do.
    `wait` is called in the loop's thread; the futures are done in any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ended: deque[tuple[Future[None], asyncio.Future[None]]] = deque()
        self._is_called = False

    def wait(self, ticket: Future[None]) -> asyncio.Future[None]:
        """Return the loop's future for it. Cancelling that one cancels `ticket`, if it may be."""
        waiting: asyncio.Future[None] = self.loop.create_future()
        waiting.add_done_callback(lambda done: ticket.cancel() if done.cancelled() else None)
        ticket.add_done_callback(lambda _: self._note(ticket, waiting))
        return waiting

    def _note(self, ticket: Future[None], waiting: asyncio.Future[None]) -> None:
        self._ended.append((ticket, waiting))
        if not self._is_called:  # two threads may both call: the second call finds nothing
            self._is_called = True
            try:
                self.loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # the loop was closed: nobody waits any more
                self._ended.clear()

    def _tell(self) -> None:
        self._is_called = False  # before it looks, so that what is noted from here on calls again
        while self._ended:
            ticket, waiting = self._ended.popleft()
            if waiting.cancelled():
                continue
            error = None if ticket.cancelled() else ticket.exception()
            if ticket.cancelled():
                waiting.cancel()
            elif error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(None)
