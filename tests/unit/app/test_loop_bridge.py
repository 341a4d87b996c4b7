"""Waiting in an event loop for what another thread does."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from celeriac.app.loop_bridge import LoopBridge


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


def test_all_that_ends_at_once_ends_its_waits_in_one_call(loop):
    bridge, tickets = LoopBridge(loop), [Future() for _ in range(100)]

    async def wait():
        waits = [bridge.wait(ticket) for ticket in tickets]
        for ticket in tickets:
            ticket.set_result(None)
        await asyncio.gather(*waits)

    loop.run_until_complete(wait())
    assert loop.calls == 1


def test_an_error_is_raised_where_it_is_waited_for(loop):
    bridge, (good, bad) = LoopBridge(loop), (Future(), Future())

    async def wait():
        waits = [bridge.wait(good), bridge.wait(bad)]
        await asyncio.to_thread(bad.set_exception, ValueError("no"))
        await asyncio.to_thread(good.set_result, None)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert list(map(repr, loop.run_until_complete(wait()))) == ["None", "ValueError('no')"]


def test_who_waits_no_more_takes_it_back_if_it_is_not_under_way(loop):
    bridge, waiting, running = LoopBridge(loop), Future(), Future()
    assert running.set_running_or_notify_cancel()

    async def wait():
        waits = [bridge.wait(waiting), bridge.wait(running)]
        for each in waits:
            each.cancel()
        await asyncio.sleep(0)
        running.set_result(None)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert [type(each) for each in loop.run_until_complete(wait())] == [asyncio.CancelledError] * 2
    assert waiting.cancelled()


def test_what_is_cancelled_elsewhere_is_cancelled_here(loop):
    bridge, ticket = LoopBridge(loop), Future()

    async def wait():
        waiting = bridge.wait(ticket)
        ticket.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(wait())


def test_a_loop_that_was_closed_meanwhile_is_left_alone(loop):
    bridge, ticket = LoopBridge(loop), Future()

    async def wait():
        bridge.wait(ticket)

    loop.run_until_complete(wait())
    loop.close()
    ticket.set_result(None)
    assert ticket.done()
