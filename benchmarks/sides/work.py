"""What the tasks of all systems do. Standard library only: it runs in foreign environments."""

from __future__ import annotations

import os
import time

LEDGER = os.environ.get("BENCHMARK_LEDGER", os.devnull)


def burn(loops: int) -> None:
    """Compute for a while; the caller knows how many loops this machine does in a millisecond."""
    total = 0
    for number in range(loops):
        total += number & 7


def nap(seconds: float) -> None:
    time.sleep(seconds)


async def anap(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def mark(seconds: float) -> None:
    """Sleep, and write down how long and until when; lines of this size are appended whole."""
    time.sleep(seconds)
    ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{seconds} {time.monotonic()}\n".encode())
    os.close(ledger)


HAS_COROUTINES = bool(os.environ.get("BENCHMARK_COROUTINES"))
"""Whether the application has an ``async def`` task: an event loop takes memory and processor, also unused."""
FUNCTIONS = (burn, nap, mark, *((anap,) if HAS_COROUTINES else ()))
