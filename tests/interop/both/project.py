"""An application as a user writes it. It runs on celery or on celeriac, as the environment says, and on nothing else.

INTEROP_LIBRARY  the package to import: celery or celeriac
INTEROP_SETTINGS  the settings, as JSON
INTEROP_LEDGER  the URL of a Redis where tasks write down that they ran, apart from broker and results
"""

import importlib
import json
import os
import time

import redis

LIBRARY = os.environ["INTEROP_LIBRARY"]
library = importlib.import_module(LIBRARY)
exceptions = importlib.import_module(f"{LIBRARY}.exceptions")
ledger = redis.Redis.from_url(os.environ["INTEROP_LEDGER"], decode_responses=True)

app = library.Celery("project")
app.config_from_object(json.loads(os.environ["INTEROP_SETTINGS"]))


class Broken(Exception):
    """A class of the user's own."""


def make_failure(kind):
    return {
        "value": ValueError("bad", 3),
        "key": KeyError("absent"),
        "own": Broken("part", 7),
        "unwritable": Broken(object()),
    }[kind]


@app.task
def add(x, y):
    return x + y


@app.task
def echo(*args, **kwargs):
    return [list(args), kwargs]


@app.task(name="a name/of its own")
def named():
    return LIBRARY


@app.task
def kinds(*values):
    """Name the types that arrive, so that nothing is hidden by a second trip."""
    return [type(value).__name__ for value in values]


@app.task
def fail(kind):
    raise make_failure(kind)


@app.task(bind=True)
def describe(self):
    request = self.request
    return {
        "library": LIBRARY,
        "task": request.task,
        "id": request.id,
        "retries": request.retries,
        "timelimit": list(request.timelimit or (None, None)),
        "headers": dict(request.headers or {}),
        "priority": request.delivery_info["priority"],
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "started": time.time(),
    }


@app.task(ignore_result=True)
def silent(key):
    ledger.rpush(key, LIBRARY)
    return "kept only when the caller asks for it"


@app.task
def note(key, value):
    ledger.rpush(key, value)
    return LIBRARY


@app.task(bind=True)
def hold(self, key, value):
    """Say that it began, and end when the gate opens."""
    again = self.request.delivery_info["redelivered"]
    ledger.rpush(f"{key}:{'begun again' if again else 'begun'}", value)
    ledger.blpop(f"{key}:gate", 15)
    ledger.rpush(f"{key}:done", value)
    return value


@app.task(bind=True, track_started=True)
def advance(self, key):
    """Tell how far it is each time that the gate opens, and end at the third."""
    for percent in (30, 60):
        ledger.blpop(f"{key}:gate", 15)
        self.update_state(state="PROGRESS", meta={"percent": percent})
    ledger.blpop(f"{key}:gate", 15)


@app.task
def nap(seconds):
    time.sleep(seconds)


@app.task
def spawn():
    return [add.apply_async((1, 1), queue="nobody").id for _ in range(2)]


@app.task
def branch(queue):
    """Send a task, a group, a chain and a chord."""
    add.apply_async((1, 2), queue=queue)
    library.group(add.s(n, n).set(queue=queue) for n in range(3)).apply_async()
    library.chain(add.s(4, 5).set(queue=queue), add.s(6).set(queue=queue)).apply_async()
    library.chord([echo.s(n).set(queue=queue) for n in range(2)], echo.s().set(queue=queue)).apply_async()


@app.task
def pass_on(queue):
    return describe.apply_async(queue=queue).id


@app.task(bind=True, max_retries=3)
def wander(self, key, queues):
    """Go from queue to queue by retrying, and write down each stop."""
    ledger.rpush(key, f"{self.request.retries} {LIBRARY}")
    if self.request.retries < len(queues):
        raise self.retry(queue=queues[self.request.retries], countdown=0.05)
    return self.request.retries


@app.task(bind=True, max_retries=1, default_retry_delay=0.05)
def give_up(self):
    raise self.retry()


@app.task(bind=True, max_retries=2)
def fail_in_the_end(self, queues):
    queue = queues[self.request.retries] if self.request.retries < len(queues) else None
    raise self.retry(exc=ValueError("in the end"), queue=queue, countdown=0.05)


@app.task(autoretry_for=(Broken,), retry_backoff=0.02, retry_jitter=False, max_retries=2, bind=True)
def try_thrice(self):
    if self.request.retries < 2:
        raise Broken("not yet")
    return self.request.retries


class Telling(app.Task):
    """Writes down each handler that is called, with the number of the run."""

    def note(self, what):
        ledger.rpush(self.request.args[0], f"{self.request.retries} {what}")

    def before_start(self, task_id, args, kwargs):
        self.note("before_start")

    def on_success(self, retval, task_id, args, kwargs):
        self.note("on_success")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.note("on_retry")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.note("on_failure")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):  # noqa: PLR0913  Celery's
        self.note(f"after_return {status}")


@app.task(base=Telling, bind=True)
def tell(self, key, ends):
    """Retry once, then end as asked."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    if ends == "badly":
        raise Broken("asked for")


def write_signals():
    def listen(name):
        def write(sender=None, **_):
            if sender.name == "project.tell":
                sender.note(name)

        getattr(signals, name).connect(write, weak=False)

    signals = importlib.import_module(f"{LIBRARY}.signals")
    for name in ("task_prerun", "task_success", "task_retry", "task_failure", "task_postrun"):
        listen(name)


write_signals()
