"""The way from an event loop to another thread and back: all that is done in a moment goes in one call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from celeriac.interfaces.broker import Outgoing

if TYPE_CHECKING:
    import asyncio


class LoopBridge:
    """Hands to `add` what the coroutines of one event loop send in one turn of it, and ends their waits.

    A lock and a wake-up for each, and a write to the loop's socket for each by ``asyncio.wrap_future``, cost more than
    the sends do. `send` is called in the loop's thread; the futures that `add` returns are done in any.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, add: Callable[[Sequence[Outgoing]], Sequence[Future[None]]]
    ) -> None:
        self.loop = loop
        self._add = add
        self._gathered: list[tuple[Outgoing, asyncio.Future[None]]] = []
        self._ended: deque[tuple[Future[None], asyncio.Future[None]]] = deque()
        self._is_called = False

    def send(self, outgoing: Outgoing) -> asyncio.Future[None]:
        """Return the loop's future for the message, which fails as `add` does, or as the future that it returned.

        Cancelling it takes the message back, if it is not on its way.
        """
        waiting: asyncio.Future[None] = self.loop.create_future()
        self._gathered.append((outgoing, waiting))
        if len(self._gathered) == 1:
            self.loop.call_soon(self._hand_over)
        return waiting

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        wanted = [each for each in gathered if not each[1].cancelled()]
        try:
            tickets = self._add([outgoing for outgoing, _ in wanted])
        except Exception as error:  # noqa: BLE001  handed to every one who waits
            for _, waiting in wanted:
                waiting.set_exception(error)
            return
        for ticket, (_, waiting) in zip(tickets, wanted, strict=True):
            self._wait(ticket, waiting)

    def _wait(self, ticket: Future[None], waiting: asyncio.Future[None]) -> None:
        waiting.add_done_callback(lambda done: ticket.cancel() if done.cancelled() else None)
        ticket.add_done_callback(lambda _: self._note(ticket, waiting))

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
