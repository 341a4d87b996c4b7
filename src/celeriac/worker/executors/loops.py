"""The event loop of ``async def`` tasks. Imported with the first of them, as asyncio is (ADR 0004)."""

from __future__ import annotations

import asyncio
import select
import selectors
import sys

_MOST_SELECTED = 1024
"""``FD_SETSIZE``: file descriptors from here on are too high for ``select``."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop as the event loop policy makes them; asyncio's own with timers that are not rounded up.

    With epoll, asyncio waits for whole milliseconds, so that a sleep of 10 ms takes 10.5 on the average.
    """
    loop = asyncio.new_event_loop()
    if sys.platform != "linux" or type(loop) is not asyncio.SelectorEventLoop:
        return loop
    loop.close()
    return asyncio.SelectorEventLoop(PreciseSelector())


if sys.platform == "linux":

    class PreciseSelector(selectors.EpollSelector):
        """A selector by epoll that waits as long as it is told, to the microsecond."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Return what is ready within so many seconds, as a selector does."""
            if timeout is None or timeout <= 0 or self.fileno() >= _MOST_SELECTED:
                return super().select(timeout)
            ready, _, _ = select.select((self.fileno(),), (), (), timeout)
            return super().select(0) if ready else []
