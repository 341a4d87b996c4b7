"""The tasks that are sent into trouble. Each notes its begin and its end; the store comes from the environment."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import time

from celeriac import Celeriac
from tests.integration.worker.ledger import note

app = Celeriac("trouble")


@app.task
def work(subject):
    note("begin", subject)
    time.sleep(random.uniform(0.002, 0.008))
    note("end", subject)


@app.task
def nap(subject, seconds):
    note("begin", subject)
    time.sleep(seconds)
    note("end", subject)


@app.task
def hold_the_lock(subject, seconds):
    """Sleep in C with the interpreter's lock held: no other thread of this process runs meanwhile."""
    note("begin", subject)
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    note("end", subject)


@app.task
def end_the_process(subject, how):
    note("begin", subject)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV}[how])
    time.sleep(60)


@app.task
def due(subject, moment):
    """Note how many seconds after its moment it began."""
    note("late", f"{time.time() - moment:.6f}")
    note("end", subject)


@app.task(bind=True, max_retries=3)
def again(self, subject):
    """Fail three times, with a pause that doubles, and end."""
    tries = self.request.retries
    note("try", f"{subject}:{tries}")
    if tries < 3:
        raise self.retry(exc=OSError("not yet"), countdown=0.1 * 2**tries)
    note("end", subject)


@app.task(bind=True, max_retries=1)
def mixed(self, subject, sent):
    """Do what a soak is made of: most succeed, some fail, some are tried twice. Note the seconds since the sending."""
    if self.request.retries == 0:
        note("latency", f"{time.time() - sent:.6f}")
        if subject % 20 == 1:
            raise self.retry(countdown=0.05)
    time.sleep(0.003)
    note("end", subject)
    if subject % 20 == 2:
        raise ValueError(subject)
