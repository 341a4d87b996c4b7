"""Read what we wrote with stock Celery, and say what it found; the other side of tests/interop/test_wire.py.

Run with the Python of an environment that has ``celery[redis]==5.7.0``. Standard input holds one JSON object a line,
``{"kind": "message" | "result" | "value", "raw": text}``; for each, one line of kombu's JSON goes to standard output.
Messages go the way that a worker sends them: envelope, message, request, execution.
"""

import json
import sys

from celery import Celery
from celery.worker.request import Request
from kombu.transport.virtual import Channel, Message
from kombu.utils import json as kombu_json

app = Celery("stock", broker="memory://", backend="cache+memory://")
app.conf.update(task_store_errors_even_if_ignored=True, worker_hijack_root_logger=False)


@app.task(name="golden.echo", bind=True)
def echo(self, *args, **kwargs):
    """Return what arrived, arguments and request."""
    request = self.request
    return {
        "args": args,
        "kwargs": kwargs,
        "id": request.id,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "retries": request.retries,
        "group": request.group,
        "group_index": request.group_index,
        "timelimit": request.timelimit,
        "headers": request.headers,
        "reply_to": request.reply_to,
        "stamps": request.stamps,
        "chain": request.chain,
        "callbacks": request.callbacks,
        "errbacks": request.errbacks,
        "priority": request.delivery_info["priority"],
        "routing_key": request.delivery_info["routing_key"],
    }


class Decoder:
    """As much of a channel as a message asks for."""

    codecs = Channel.codecs
    decode_body = Channel.decode_body


def read_message(raw):
    message = Message(kombu_json.loads(raw), channel=Decoder())
    message.accept = {"application/json"}
    if message.errors:
        message._reraise_error()
    request = Request(message, app=app, hostname="stock@host", on_ack=lambda *_: None, on_reject=lambda *_: None)
    request.execute()
    found = app.AsyncResult(request.id).get(timeout=5)
    found["eta"] = request.eta and request.eta.isoformat()
    found["expires"] = request.expires and request.expires.isoformat()
    found["chord"] = request.chord
    found["ignore_result"] = request.ignore_result
    return found


def read_result(raw):
    meta = app.backend.decode_result(raw)
    if isinstance(meta["result"], BaseException):
        error = meta["result"]
        meta["result"] = [f"{type(error).__module__}.{type(error).__qualname__}", list(error.args)]
    return meta


def main():
    readers = {"message": read_message, "result": read_result, "value": lambda raw: repr(kombu_json.loads(raw))}
    for line in sys.stdin:
        request = json.loads(line)
        print(kombu_json.dumps(readers[request["kind"]](request["raw"])), flush=True)


if __name__ == "__main__":
    main()
