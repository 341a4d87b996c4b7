"""A client that does what it is told: one request a line, pickled in base64, and one answer.

A request is ``(function, args, kwargs)`` with a function of `COMMANDS`; an answer ``(True, value)`` or
``(False, traceback)``. It runs in either library's interpreter, so only values of the standard library cross.
"""

import base64
import pickle
import sys
import time
import traceback
from datetime import UTC

import canvases
import project
from project import app


def send(name, args=(), kwargs=None, **options):
    task = app.tasks[name]
    return task.apply_async(args, kwargs, **options).id


def send_task(name, args=(), kwargs=None, **options):
    """Send by name alone, as a caller that does not have the task."""
    return app.send_task(name, args, kwargs, **options).id


def outcome(task_id, timeout=10):
    """Wait for the end as a user does, and tell all that the handle knows afterwards."""
    result = app.AsyncResult(task_id)
    try:
        ended = {"value": result.get(timeout=timeout)}
    except BaseException as error:
        ended = {"error": describe(error)}
    return ended | look(task_id)


def look(task_id):
    result = app.AsyncResult(task_id)
    return {
        "state": result.state,
        "info": None if isinstance(result.info, BaseException) else result.info,
        "ready": result.ready(),
        "successful": result.successful(),
        "failed": result.failed(),
        "traceback": result.traceback,
        "date_done": result.date_done and result.date_done.astimezone(UTC),
        "children": [child.id for child in result.children or ()],
    }


def describe(error):
    """Tell the class (and whether it is the real one, not a stand-in of that name) and the arguments."""
    kind = type(error)
    home = project if kind.__module__ == "project" else project.exceptions
    real = getattr(home, kind.__name__, None) or getattr(sys.modules["builtins"], kind.__name__, None)
    return {"name": kind.__name__, "is_real": kind is real, "args": list(error.args)}


def run_canvas(kind, queue, key, timeout=10):
    """Send a workflow and wait for its end; tell the value, or the error, and the states of what led to it."""
    result = canvases.build(kind, queue, key).apply_async()
    try:
        ended = {"value": result.get(timeout=timeout)}
    except BaseException as error:
        ended = {"error": describe(error)["name"]}
    end = time.monotonic() + timeout
    # A parent's error is told before the end, and stock workers send what follows before they store a result.
    while "PENDING" in str(states_of(result)) and time.monotonic() < end:
        time.sleep(0.01)
    return ended | {"states": states_of(result)}


def states_of(result):
    """Return the states of a result and of its parents, last first."""
    found = []
    while result is not None:
        members = getattr(result, "results", None)
        found.append(result.state if members is None else [states_of(member) for member in members])
        result = result.parent
    return found


def follow(task_id, timeout=10):
    """Tell what followed from a task: kind and value in order, who sent whom, and how the graph is sorted, by place."""
    result = app.AsyncResult(task_id)
    found = [(one, type(one).__name__, value) for one, value in result.collect(timeout=timeout)]
    places = {one.id: place for place, (one, _, _) in enumerate(found)}
    return {
        "collected": [(kind, value) for _, kind, value in found],
        "deps": [(parent and places[parent.id], places[one.id]) for parent, one in result.iterdeps()],
        "sorted": [places[one.id] for one in result.graph.topsort()],
        "leaf": result.get_leaf(),
    }


def revoke(task_id, **options):
    """Revoke as a user does, and tell what the nodes answered."""
    return app.control.revoke(task_id, **options)


def revoke_result(task_id, **options):
    return app.AsyncResult(task_id).revoke(**options)


def send_stamped(name, args, stamps, **options):
    """Send a task with stamps."""
    sig = app.tasks[name].s(*args)
    sig.stamp(**stamps)
    return sig.apply_async(**options).id


def revoke_stamped(stamps, **options):
    return app.control.revoke_by_stamped_headers(stamps, **options)


COMMANDS = {
    command.__name__: command
    for command in (
        send,
        send_task,
        outcome,
        look,
        run_canvas,
        follow,
        revoke,
        revoke_result,
        send_stamped,
        revoke_stamped,
    )
}


def serve():
    for line in sys.stdin:
        name, args, kwargs = pickle.loads(base64.b64decode(line))
        try:
            answer = True, COMMANDS[name](*args, **kwargs)
        except BaseException:
            answer = False, traceback.format_exc()
        print(base64.b64encode(pickle.dumps(answer)).decode(), flush=True)


if __name__ == "__main__":
    serve()
