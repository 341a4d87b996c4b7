"""Tasks of workflows, which write down what they do. The store comes from the environment."""

from __future__ import annotations

import os
import time

from celeriac import Celeriac, chain, chord, group
from tests.integration.worker.ledger import note

app = Celeriac("works")


@app.task
def one(number, run):
    note("one", f"{run}/{number}")
    time.sleep(0.002)
    return number


@app.task
def more(number, run, step):
    note("more", f"{run}/{step}")
    return number + 1


@app.task
def total(numbers, run):
    note("total", run)
    return sum(numbers)


@app.task
def finish(value, run):
    note("finish", f"{run} {value}")
    return value


@app.task
def stuck():
    note("stuck", os.getpid())
    time.sleep(30)


@app.task
def told(task_id, run):
    note("told", run)


def workflow(run, width):
    """Return a chain, a chord whose header has a chord and a chain in it, and a last step."""
    members = [one.si(n, run) for n in range(3, width)]
    inner = chord([one.si(n, run) for n in range(3)], total.s(f"{run}-inner"))
    return chain(
        one.s(0, run),
        more.s(run, "first"),
        group([chain(one.si(0, run), more.s(run, "in")), *members, chain(more.s(run, "before"), inner)]),
        total.s(run),
        more.s(run, "last"),
        finish.s(run),
    )
