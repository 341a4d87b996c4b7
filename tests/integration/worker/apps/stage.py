"""Tasks that are revoked while they run, and what listens to that."""

from __future__ import annotations

import asyncio
import time

from celeriac import Celeriac
from celeriac.exceptions import Terminated
from celeriac.signals import task_revoked
from tests.integration.worker.ledger import note

app = Celeriac("stage")


@task_revoked.connect
def on_revoked(sender=None, request=None, terminated=None, signum=None, expired=None, **_):
    note("revoked", f"{request.id} {terminated} {signum} {expired}")


@app.task
def rest(seconds, subject):
    """Sleep in one call, and tidy up."""
    note("begin", subject)
    try:
        time.sleep(seconds)
    finally:
        note("tidied", subject)
    note("end", subject)


@app.task
def walk(seconds, subject):
    """Sleep in small steps, which the interpreter sees."""
    note("begin", subject)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.01)
    note("end", subject)


@app.task
async def float_by(seconds, subject):
    note("begin", subject)
    try:
        await asyncio.sleep(seconds)
    finally:
        note("tidied", subject)
    note("end", subject)


@app.task
def go_on(seconds, subject):
    """Run for so long, whatever is raised."""
    note("begin", subject)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            time.sleep(0.01)
        except Terminated:
            note("caught", subject)
    note("end", subject)


@app.task
def give_in(subject):
    """End well although it was told to end."""
    note("begin", subject)
    try:
        time.sleep(60)
    except Terminated:
        return "half done"


@app.task(bind=True, max_retries=50)
def try_again(self, subject, countdown=0.3):
    note("try", subject)
    raise self.retry(countdown=countdown)


@app.task(bind=True)
def wait_and_try_again(self, seconds, subject):
    note("begin", subject)
    time.sleep(seconds)
    raise self.retry(countdown=86_400)


@app.task(autoretry_for=(Exception,), max_retries=5)
def persist(seconds, subject):
    note("begin", subject)
    time.sleep(seconds)


@app.task(acks_late=False)
def rest_early(seconds, subject):
    note("begin", subject)
    time.sleep(seconds)


@app.task
def say(*values, subject="said"):
    note("said", subject)
    return values


@app.task(throws=(ValueError,))
def told(request, error, _trace):
    note("told", f"{request.id} {error!r}")
