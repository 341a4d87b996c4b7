"""The tasks that the tests send. The store comes from the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from celeriac import Celeriac, Task
from celeriac.log import get_task_logger
from tests.integration.worker.ledger import note

app = Celeriac("shop")


def is_there(file):
    """Tell whether the test has made the file."""
    return Path(file).exists()


@app.task
def add(x, y):
    return x + y


@app.task
def total(values):
    return sum(values)


@app.task
def mark(subject):
    note("done", subject)


@app.task
def now(subject):
    note("now", f"{subject} {time.time()}")


@app.task
def nap_until(file):
    """Run until the test makes a file of that name."""
    note("begin", file)
    while not is_there(file):
        time.sleep(0.01)
    note("end", file)
    return file


@app.task
def mark_slowly(subject):
    time.sleep(0.002)
    note("done", subject)


@app.task
def hog(seconds):
    """Keep every other thread of this process from running: the switch interval is longer than the run."""
    note("begin")
    sys.setswitchinterval(seconds * 2)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass
    sys.setswitchinterval(0.005)
    return "hog"


@app.task
def child_hears_term():
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    return child.wait()


@app.task(bind=True)
def nap(self, seconds, subject=None):
    """Sleep between two notes."""
    subject = subject or self.request.id
    note("begin", subject)
    time.sleep(seconds)
    note("end", subject)
    return subject


@app.task(bind=True)
async def anap(self, seconds, subject=None):
    subject = subject or self.request.id
    note("abegin", subject)
    await asyncio.sleep(seconds)
    note("aend", subject)
    return subject


@app.task
async def anap_until(file, subject):
    note("abegin", subject)
    while not is_there(file):  # noqa: ASYNC110  the event comes from another process
        await asyncio.sleep(0.05)
    note("aend", subject)
    return subject


@app.task(acks_late=False)
def early_nap(seconds):
    note("begin")
    time.sleep(seconds)
    note("end")


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def give_up(self, countdown):
    note("try", self.request.retries)
    try:
        raise KeyError("the key")
    except KeyError as error:
        raise self.retry(exc=error, countdown=countdown) from error


@app.task(bind=True, max_retries=5)
def third_time(self):
    note("try", self.request.retries)
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True)
def retry_in(self, queue):
    raise self.retry(queue=queue, countdown=0)


@app.task(bind=True, autoretry_for=(OSError,), retry_backoff=0.05, retry_jitter=False, max_retries=2)
def back_off(self):
    note("try", self.request.retries)
    raise ConnectionResetError("gone")


@app.task(bind=True)
def progress(self, steps):
    """Tell each step, and go on when the test has said so by a file."""
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"step": step})
        while not is_there(f"go-{step}"):
            time.sleep(0.01)
    return steps


@app.task(bind=True)
def whoami(self, *args, **kwargs):
    request = self.request
    return {
        "id": request.id,
        "task": request.task,
        "args": list(request.args),
        "kwargs": request.kwargs,
        "retries": request.retries,
        "hostname": request.hostname,
        "called_directly": request.called_directly,
        "is_eager": request.is_eager,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "queue": request.delivery_info["routing_key"],
        "redelivered": request.delivery_info["redelivered"],
        "headers": dict(request.headers),
        "expires": request.expires is not None,
        "same_task": self.name == request.task,
    }


@app.task(bind=True)
def parent(self):
    return whoami.delay().id


class Handled(Task):
    """Notes every handler with what it was given."""

    def before_start(self, task_id, args, kwargs):
        note("before_start", f"{task_id} {args!r} {kwargs!r}")

    def on_success(self, retval, task_id, args, kwargs):
        note("on_success", f"{retval!r} {task_id} {args!r} {kwargs!r}")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note("on_failure", f"{exc!r} {task_id} {args!r} {kwargs!r} {'Traceback' in str(einfo)}")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note("on_retry", f"{exc!r} {task_id} {args!r} {kwargs!r} {'Traceback' in str(einfo)}")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):  # noqa: PLR0913  Celery's
        note("after_return", f"{status} {retval!r} {task_id} {einfo is None}")


@app.task(base=Handled, bind=True, max_retries=1)
def handled(self, how, *, then=None):
    if how == "fail":
        raise ValueError(how)
    if how == "retry" and self.request.retries == 0:
        raise self.retry(exc=OSError("once"), countdown=0)
    return how


class Mute(Exception):
    """An error that cannot tell its own text."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


@app.task
def give_back(what):
    """Return or raise what can hardly be written."""
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(3000):
        deep = [deep]
    values = {"an object": object(), "an endless list": endless, "a deep list": deep, "half a character": "\udc80"}
    if what in values:
        return values[what]
    raise {
        "an error with half a character": ValueError("\udc80"),
        "an error with an object": ValueError(object()),
        "an error with an endless list": ValueError(endless),
        "an error whose text fails": Mute("x"),
        "a base exception": BaseException("base"),
        "an interrupt": KeyboardInterrupt("of one's own"),
        "an end of a generator": GeneratorExit(),
        "a recursion": RecursionError("too deep"),
        "no memory": MemoryError(),
    }[what]


@app.task
async def acancelled():
    """End by a cancellation that no worker asked for."""
    note("cancelled")
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


@app.task
async def acancel(whom, how):
    """Cancel this coroutine's own task, or all there are; return, or wait for it to be felt."""
    note("cancelled")
    current = asyncio.current_task()
    for task in [current] if whom == "itself" else asyncio.all_tasks():
        task.cancel()
    if how == "wait":
        await asyncio.sleep(0)
    return "gone on"


@app.task
async def araise():
    raise BaseException("base")


@app.task
def leave(code):
    sys.exit(code)


@app.task
def shout(lines):
    for number in range(lines):
        print(f"line {number} of the shouting")
    return lines


@app.task
def tell(text):
    get_task_logger(__name__).info(text)
    return text


@app.task
def say(text):
    print(text)
    return text


@app.task
def bulky(length):
    return "x" * length


@app.task(bind=True)
def retry_with(self, _, length):
    raise self.retry(args=("x" * length, 0), countdown=0)


@app.task(bind=True)
def replace_by(self, _, length):
    return self.replace(size.s("x" * length))


@app.task
def say_back(text):
    return text


@app.task
def size(text):
    return len(text)


@app.task
def kill_me_once(subject):
    """Kill the own process the first time."""
    note("begin", subject)
    if not is_there(f"killed-{subject}"):
        Path(f"killed-{subject}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    note("end", subject)
    return subject


@app.task
def poison(seconds):
    """End the own process after a while."""
    note("poison")
    time.sleep(seconds)
    os._exit(13)


@app.task
async def apoison(seconds):
    """End the own process after a while."""
    note("poison")
    await asyncio.sleep(seconds)
    os._exit(13)
