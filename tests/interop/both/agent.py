"""A client that does what it is told: one request a line, pickled in base64, and one answer.

A request is ``(function, args, kwargs)`` with a function of `COMMANDS`; an answer ``(True, value)`` or
``(False, traceback)``. It runs in either library's interpreter, so only values of the standard library cross.
"""

import base64
import pickle
import sys
import traceback
from datetime import UTC

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


def start_workflow(kind, queue):
    """Send a workflow; return the id of its last result. Stock Celery only."""
    from celery import chain, chord, group

    add = app.tasks["project.add"]
    steps = [add.s(1, 1).set(queue=queue), add.s(10).set(queue=queue)]
    if kind == "chain":
        workflows[kind] = chain(*steps).apply_async()
    elif kind == "link":
        workflows[kind] = add.apply_async((1, 1), queue=queue, link=add.s(5).set(queue=queue))
    elif kind == "chord":
        workflows[kind] = chord([add.s(1, 1).set(queue=queue)] * 2, add.s(10).set(queue=queue)).apply_async()
    else:
        workflows[kind] = group(add.s(n, n).set(queue=queue) for n in range(3)).apply_async()
    return workflows[kind].id


def end_of_workflow(kind):
    try:
        return {"value": workflows[kind].get(timeout=10)}
    except BaseException as error:
        return {"error": describe(error)}


workflows = {}
COMMANDS = {command.__name__: command for command in (send, send_task, outcome, look, start_workflow, end_of_workflow)}


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
