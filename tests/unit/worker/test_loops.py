"""The event loop of coroutines: sleeps to the microsecond, and the user's own loop where there is one."""

from __future__ import annotations

import asyncio
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from celeriac.worker.executors.loops import new_loop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's, and its milliseconds with it")

SHORT, WHOLE = 0.0002, 0.001
"""Seconds: a wait, and what epoll makes of it."""
TRIES = 500


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = new_loop()
    yield made
    made.close()


def timed(wait: object) -> float:
    started = time.perf_counter()
    wait()  # type: ignore[operator]
    return time.perf_counter() - started


def test_a_sleep_is_not_rounded_up_to_whole_milliseconds(loop: asyncio.AbstractEventLoop) -> None:
    took = [timed(lambda: loop.run_until_complete(asyncio.sleep(SHORT))) for _ in range(TRIES)]
    assert SHORT <= min(took) < WHOLE


def test_what_comes_amid_a_sleep_is_seen(loop: asyncio.AbstractEventLoop) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        loop.call_later(0.01, far.send, b"x")
        assert loop.run_until_complete(asyncio.wait_for(loop.sock_recv(near, 1), 10)) == b"x"


def test_a_selector_whose_number_is_too_high_for_select_waits_all_the_same() -> None:
    from celeriac.worker.executors.loops import PreciseSelector

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while taken[-1] < 1100:
            taken.append(os.dup(taken[0]))
        selector, (near, far) = PreciseSelector(), socket.socketpair()
        with selector, near, far:
            assert selector.fileno() > 1024
            selector.register(near, selectors.EVENT_READ)
            assert selector.select(SHORT) == []
            far.send(b"x")
            assert [key.fileobj for key, _ in selector.select(10)] == [near]
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_loop_is_the_one_that_the_user_s_policy_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(asyncio.SelectorEventLoop):
        """As uvloop's is: another kind of loop."""

    monkeypatch.setattr(asyncio, "new_event_loop", Own)
    loop = new_loop()
    loop.close()
    assert type(loop) is Own
