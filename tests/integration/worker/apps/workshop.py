"""Tasks that retry, sleep and send one another, for the test that kills at random."""

from __future__ import annotations

import asyncio
import random
import time

from celeriac import Celeriac
from tests.integration.worker.ledger import note

app = Celeriac("workshop")


@app.task
def leaf(number):
    note("leaf", number)
    return number


@app.task(bind=True, max_retries=10)
def work(self, number):
    """Try up to two times more, then send a leaf."""
    time.sleep(random.random() * 0.01)
    if self.request.retries < number % 3:
        raise self.retry(countdown=0.05)
    leaf.delay(number)
    note("work", number)
    return number


@app.task
async def dream(number):
    await asyncio.sleep(random.random() * 0.05)
    note("dream", number)
    return number
