"""The tasks of workflows that are sent into trouble. The store comes from the environment."""

from __future__ import annotations

import time

from celeriac import Celeriac
from tests.canvas.tasks import make_tasks
from tests.integration.worker.ledger import note

app = Celeriac("flows")


def run(label):
    """Note a run, which takes a while, so that it can be killed."""
    note("begin", label)
    time.sleep(0.003)
    note("end", label)


make_tasks(app, run)


@app.task
def member(number):
    return number


@app.task
def body(numbers, subject):
    note("begin", subject)
    note("end", f"{subject}={sum(numbers)}")
    return sum(numbers)
