"""The demo's application: small tasks, one for each thing that is shown."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from celeriac.app.base import Celeriac

app = Celeriac("demo")


@app.task
def add(x: int, y: int) -> int:
    """Do next to nothing."""
    return x + y


@app.task
def divide(x: float, y: float) -> float:
    """Fail with a ZeroDivisionError when asked to."""
    return x / y


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_kwargs={"countdown": 0.3, "max_retries": 5})
def fetch(self: Any, page: int) -> str:
    """Meet a network that is down twice, and come through at the third attempt."""
    if self.request.retries < 2:
        raise ConnectionError(f"page {page} cannot be reached")
    return f"page {page} after {self.request.retries} retries"


@app.task
async def ask(question: int) -> int:
    """Wait half a second for somebody else's answer, without keeping a slot busy."""
    await asyncio.sleep(0.5)
    return question * question


@app.task(bind=True)
def render(self: Any, frames: int) -> int:
    """Work for a while and say how far it is."""
    for done in range(frames):
        self.update_state(state="PROGRESS", meta={"done": done, "frames": frames})
        time.sleep(0.1)
    return frames


@app.task
def remind(sent: float) -> float:
    """Return how many seconds after `sent` it runs."""
    return time.time() - sent
