"""The tasks that are sent into trouble. Each notes its begin and its end; the store comes from the environment."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import resource
import signal
import threading
import time
from pathlib import Path

from celeriac import Celeriac
from celeriac.worker.wear import resident_kib
from tests.integration.worker.ledger import note

MEBIBYTE = 1 << 20

app = Celeriac("trouble")
leaked = []


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
    """Sleep in C with the interpreter's lock held. Note for how many seconds another thread stood still meanwhile."""
    note("begin", subject)
    moments = [time.monotonic()]
    is_over = threading.Event()
    ticking = threading.Thread(target=lambda: tick(moments, is_over))
    ticking.start()
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    is_over.set()
    ticking.join()
    note("stood_still", max(later - earlier for earlier, later in itertools.pairwise(moments)))
    note("end", subject)


def tick(moments, is_over):
    while not is_over.wait(0.01):
        moments.append(time.monotonic())
    moments.append(time.monotonic())


@app.task
def end_the_process(subject, how):
    note("begin", subject)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV}[how])
    time.sleep(60)


@app.task
def fill(subject, size, room):
    """Take memory in pieces of so many bytes until there is none: this process is given that many more than it has."""
    note("begin", subject)
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        spare = threading.Thread(target=int)
        spare.start()
        spare.join()  # whoever starts a thread later finds its stack, which the C library keeps
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, resource.RLIM_INFINITY))
    taken = []
    while True:
        taken.append(bytearray(size))


@app.task
def grow(subject, most):
    """Take and use a MiB each 2 ms, up to so many: slowly enough that somebody outside can end this process for it."""
    note("begin", subject)
    taken = []
    while len(taken) < most:
        taken.append(b"x" * MEBIBYTE)
        time.sleep(0.002)
    note("end", subject)


@app.task
def leak(subject, size):
    """Keep so many bytes for ever. Note how many KiB this process had in use when the task began."""
    note("begin", subject)
    note("resident", resident_kib())
    leaked.append(b"x" * size)
    time.sleep(0.06)  # the engine looks at its memory each 50 ms
    note("end", subject)


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
    tried = f"{subject}.{self.request.retries}"
    note("begin", tried)
    if self.request.retries == 0:
        note("latency", f"{time.time() - sent:.6f}")
        if subject % 20 == 1:
            note("end", tried)
            raise self.retry(countdown=0.05)
    time.sleep(0.003)
    note("end", tried)
    if subject % 20 == 2:
        raise ValueError(subject)
