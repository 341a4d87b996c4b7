"""Waiting in an event loop for what another thread does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from celeriac.app.loop_bridge import LoopBridge
from celeriac.interfaces.broker import Outgoing
from celeriac.testing.conformance.samples import outgoing


class CountingLoop(asyncio.SelectorEventLoop):
    """Notes how often another thread called."""

    calls = 0

    def call_soon_threadsafe(self, *args, **kwargs):
        self.calls += 1
        return super().call_soon_threadsafe(*args, **kwargs)


@pytest.fixture
def loop():
    loop = CountingLoop()
    yield loop
    loop.close()


class Tickets:
    """Takes messages, and returns these futures for them."""

    def __init__(self, *tickets: Future[None]) -> None:
        self.batches: list[int] = []
        self._tickets = list(tickets)

    def __call__(self, batch: Sequence[Outgoing]) -> Sequence[Future[None]]:
        self.batches.append(len(batch))
        taken, self._tickets = self._tickets[: len(batch)], self._tickets[len(batch) :]
        return taken


async def sends(bridge: LoopBridge, count: int) -> list[asyncio.Future[None]]:
    """Return what waits for that many messages once they were handed over."""
    waits = [bridge.send(outgoing(n)) for n in range(count)]
    await asyncio.sleep(0)
    return waits


def test_all_that_is_sent_in_one_turn_is_handed_over_in_one_call(loop):
    tickets = Tickets(*(Future() for _ in range(5)))
    bridge = LoopBridge(loop, tickets)

    async def wait():
        await sends(bridge, 3)
        await sends(bridge, 2)

    loop.run_until_complete(wait())
    assert tickets.batches == [3, 2]


def test_what_was_cancelled_before_is_not_handed_over(loop):
    tickets = Tickets(Future())
    bridge = LoopBridge(loop, tickets)

    async def wait():
        waits = [bridge.send(outgoing(n)) for n in range(2)]
        waits[0].cancel()
        await asyncio.sleep(0)

    loop.run_until_complete(wait())
    assert tickets.batches == [1]


def test_where_nothing_can_be_handed_over_everyone_is_told(loop):
    def refuse(batch: Sequence[Outgoing]) -> Sequence[Future[None]]:
        raise RuntimeError("can't start new thread")

    async def wait():
        return await asyncio.gather(*await sends(LoopBridge(loop, refuse), 2), return_exceptions=True)

    assert [str(each) for each in loop.run_until_complete(wait())] == ["can't start new thread"] * 2


def test_all_that_ends_at_once_ends_its_waits_in_one_call(loop):
    tickets = [Future() for _ in range(100)]
    bridge = LoopBridge(loop, Tickets(*tickets))

    async def wait():
        waits = await sends(bridge, 100)
        for ticket in tickets:
            ticket.set_result(None)
        await asyncio.gather(*waits)

    loop.run_until_complete(wait())
    assert loop.calls == 1


def test_an_error_is_raised_where_it_is_waited_for(loop):
    good, bad = Future(), Future()
    bridge = LoopBridge(loop, Tickets(good, bad))

    async def wait():
        waits = await sends(bridge, 2)
        await asyncio.to_thread(bad.set_exception, ValueError("no"))
        await asyncio.to_thread(good.set_result, None)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert list(map(repr, loop.run_until_complete(wait()))) == ["None", "ValueError('no')"]


def test_who_waits_no_more_takes_it_back_if_it_is_not_under_way(loop):
    waiting, running = Future(), Future()
    bridge = LoopBridge(loop, Tickets(waiting, running))
    assert running.set_running_or_notify_cancel()

    async def wait():
        waits = await sends(bridge, 2)
        for each in waits:
            each.cancel()
        await asyncio.sleep(0)
        running.set_result(None)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert [type(each) for each in loop.run_until_complete(wait())] == [asyncio.CancelledError] * 2
    assert waiting.cancelled()


def test_what_is_cancelled_elsewhere_is_cancelled_here(loop):
    ticket = Future()
    bridge = LoopBridge(loop, Tickets(ticket))

    async def wait():
        (waiting,) = await sends(bridge, 1)
        ticket.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(wait())


def test_a_loop_that_was_closed_meanwhile_is_left_alone(loop):
    ticket = Future()
    bridge = LoopBridge(loop, Tickets(ticket))

    async def wait():
        await sends(bridge, 1)

    loop.run_until_complete(wait())
    loop.close()
    ticket.set_result(None)
    assert ticket.done()
