"""Write the golden files with stock Celery, so that the wire's tests read what Celery really writes.

Run it with the Python of an environment that has ``celery[redis]==5.7.0 pyyaml msgpack``, and not with ours:

    STOCK/bin/python tests/golden/capture.py

Messages are taken from kombu's filesystem transport, results from Celery's file backend: both keep the very bytes
that go to any other store, and need no server. Ids, the clock and the host's name are fixed, so that a second run
writes the same files, apart from the line numbers in tracebacks.
"""

import itertools
import json
import os
import shutil
import tempfile
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

_counter = itertools.count(1)
os.urandom = lambda size: next(_counter).to_bytes(size, "big")  # before Celery is imported: its uuid4 reads it

import celery.app.amqp  # noqa: E402
import kombu.transport.filesystem  # noqa: E402
from celery import Celery, chain, chord, group  # noqa: E402
from celery.app.task import Context  # noqa: E402
from celery.exceptions import Retry, SoftTimeLimitExceeded  # noqa: E402
from kombu.transport import redis as kombu_redis  # noqa: E402
from kombu.utils import json as kombu_json  # noqa: E402

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ETA = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OID = "0c9b2a3e-0000-3000-8000-000000000001"

celery.app.amqp.anon_nodename = lambda: "gen1@host"


def make_app(folder, **settings):
    for name in ("queue", "control", "results"):
        (folder / name).mkdir(exist_ok=True)
    app = Celery("golden", broker="filesystem://", backend=f"file://{folder}/results")
    app.conf.update(
        broker_transport_options={
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "control_folder": str(folder / "control"),
        },
        task_publish_retry=False,
        **settings,
    )
    app.now = lambda: NOW
    app._local.oid = OID

    @app.task(name="golden.add", bind=True)
    def add(self, *args, **kwargs):
        return args, kwargs

    return app, add


class Messages:
    """Calls something that publishes, and keeps what it published."""

    def __init__(self, folder, out):
        self.folder, self.out = folder, out

    def keep(self, name, publish):
        queue = self.folder / "queue"
        publish()
        files = sorted(queue.glob("*.msg"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        assert files, name
        for position, file in enumerate(files):
            suffix = f"-{position}" if len(files) > 1 else ""
            (self.out / f"{name}{suffix}.json").write_bytes(file.read_bytes())
            file.unlink()


def capture_messages(folder, out):
    _, add = make_app(folder)
    messages = Messages(folder, out)

    def keep(name, args=(2, 3), kwargs=None, **options):
        messages.keep(name, lambda: add.apply_async(args, kwargs, task_id=f"id-{name}", **options))

    keep("plain")
    keep("kwargs", (1,), {"y": 2, "text": "päron ☃", "nested": {"a": [1, None, True, 1.5]}})
    keep("eta", eta=ETA)
    keep("eta-with-offset", eta=ETA.astimezone(timezone(timedelta(hours=-3, minutes=-30))))
    keep("expires", expires=ETA)
    keep("expires-in-seconds", expires=60)
    keep("priority", priority=5)
    keep("countdown", countdown=30)
    keep("headers", headers={"tenant": "t1", "trace": {"headers": {"priority": 1}}})
    keep("link", link=add.s(10))
    keep("link-error", link_error=add.si("failed"))
    keep("ignore-result", ignore_result=True)
    keep("shadow", shadow="shown.name")
    keep("time-limits", time_limit=30, soft_time_limit=20)
    keep("parent", root_id="id-root", parent_id="id-parent")
    keep("tagged", (NOW, Decimal("1.50"), uuid.UUID(int=7), b"\xff\x00", b"text", date(2026, 1, 2), time(3, 4, 5)))
    keep("pickle", (1, {2, 3}), serializer="pickle")
    keep("yaml", serializer="yaml")
    keep("msgpack", (2, b"\xff"), serializer="msgpack")
    keep("gzip", compression="gzip")
    keep("bzip2", compression="bzip2")
    messages.keep("stamps", lambda: stamped(add).apply_async(task_id="id-stamps"))
    messages.keep("chain", lambda: chain(add.s(1, 1), add.s(10), add.s(20)).apply_async(task_id="id-chain"))
    messages.keep("group", lambda: group(add.s(n).set(task_id=f"id-group-{n}") for n in range(2)).apply_async())
    messages.keep(
        "chord", lambda: chord([add.s(n).set(task_id=f"id-chord-{n}") for n in range(2)])(add.s().set(task_id="body"))
    )
    messages.keep("retry", lambda: retry(add))

    kombu.transport.filesystem.Channel.body_encoding = None
    keep("text-body", (1,), {"text": 'say "headers":{ ☃'})
    kombu.transport.filesystem.Channel.body_encoding = "base64"

    _, old = make_app(folder, task_protocol=1)
    messages.keep("protocol-1", lambda: old.apply_async((2,), {"y": 3}, task_id="id-protocol-1", eta=ETA, time_limit=9))
    redeliver(out / "plain.json", out / "redelivered.json")


def stamped(add):
    signature = add.s(1, 2)
    signature.stamp(sid="abc")
    return signature


def retry(add):
    add.push_request(
        id="id-retry", args=(2, 3), kwargs={}, retries=1, root_id="id-root", called_directly=False,
        delivery_info={"exchange": "", "routing_key": "celery"}, headers={"tenant": "t1"}, timelimit=[30, 20],
    )  # fmt: skip
    try:
        add.retry(countdown=10, throw=False, max_retries=5)
    finally:
        add.pop_request()


def redeliver(source, target):
    """Let kombu's own function mark a message as put back."""
    pushed = []
    channel = SimpleNamespace(
        connection_errors=(),
        _lookup=lambda exchange, key: ["celery"],
        _get_message_priority=lambda payload, reverse: 0,
        _q_for_pri=lambda queue, priority: queue,
    )
    pipe = SimpleNamespace(rpush=lambda queue, payload: pushed.append(payload))
    payload = kombu_json.loads(source.read_bytes())
    kombu_redis.Channel._do_restore_message(channel, payload, "", "celery", pipe)
    target.write_text(pushed[0])


def capture_results(folder, out):
    app, _ = make_app(folder)
    for name, store in results(app).items():
        keep_result(app, folder, out / f"{name}.json", f"id-{name}", store)
    app, _ = make_app(folder, result_extended=True)
    request = Context(
        id="id-extended", task="golden.add", args=[2], kwargs={"y": 3}, hostname="w1@host", retries=1,
        delivery_info={"exchange": "", "routing_key": "celery"}, stamped_headers=["sid"], stamps={"sid": "abc"},
    )  # fmt: skip
    keep_result(
        app, folder, out / "extended.json", "id-extended",
        lambda backend, task_id: backend.mark_as_done(task_id, 5, request=request),
    )  # fmt: skip
    app, _ = make_app(folder, result_serializer="pickle", accept_content=["pickle"])
    keep_result(
        app, folder, out / "failure.pickle", "id-failure-pickle",
        lambda backend, task_id: backend.mark_as_failure(task_id, ValueError("bad", 3)),
    )  # fmt: skip
    app, _ = make_app(folder)
    app.backend.compression = "gzip"
    keep_result(
        app, folder, out / "compressed.bin", "id-compressed",
        lambda backend, task_id: backend.mark_as_done(task_id, "long " * 50),
    )  # fmt: skip


def results(app):
    grouped = Context(id="x", group="id-group", parent_id="id-parent", delivery_info={}, chord=None)
    parent = Context(id="x", delivery_info={})
    parent._children = [app.AsyncResult("id-child", app=app)]
    failed = Failing().catch()
    return {
        "success": lambda backend, task_id: backend.mark_as_done(task_id, {"sum": [5, 1.5, None]}),
        "tagged": lambda backend, task_id: backend.mark_as_done(task_id, [NOW, b"\xff", Decimal("0.1")]),
        "nan": lambda backend, task_id: backend.mark_as_done(task_id, float("nan")),
        "failure": lambda backend, task_id: backend.mark_as_failure(task_id, *failed),
        "failure-unwritable": lambda backend, task_id: backend.mark_as_failure(task_id, ValueError({1}, b"\xff")),
        "failure-nested": lambda backend, task_id: backend.mark_as_failure(task_id, Failing.Inner("deep")),
        "failure-soft-limit": lambda backend, task_id: backend.mark_as_failure(task_id, SoftTimeLimitExceeded(9)),
        "failure-retry": lambda backend, task_id: backend.mark_as_failure(task_id, Retry("again", ValueError(1), 3)),
        "retry": lambda backend, task_id: backend.mark_as_retry(task_id, KeyError("k"), "Traceback ..."),
        "started": lambda backend, task_id: backend.mark_as_started(task_id, pid=7, hostname="w1@host"),
        "revoked": lambda backend, task_id: backend.mark_as_revoked(task_id, "revoked"),
        "expired": lambda backend, task_id: backend.mark_as_revoked(task_id, "expired"),
        "custom-state": lambda backend, task_id: backend.store_result(task_id, {"done": 3}, "PROGRESS"),
        "in-group": lambda backend, task_id: backend.mark_as_done(task_id, 1, request=grouped),
        "with-child": lambda backend, task_id: backend.mark_as_done(task_id, 1, request=parent),
    }


class Failing:
    class Inner(Exception):
        pass

    def catch(self):
        try:
            raise ValueError("bad", 3)
        except ValueError as error:
            return error, 'Traceback (most recent call last):\n  File "t.py", line 1\nValueError: bad'


def keep_result(app, folder, target, task_id, store):
    store(app.backend, task_id)
    source = folder / "results" / f"celery-task-meta-{task_id}"
    target.write_bytes(source.read_bytes())


def capture_json(out):
    """Keep what kombu writes for each type, and the repr of what it reads back."""
    east = timezone(timedelta(hours=5, minutes=45))
    values = {
        "datetime-utc": NOW,
        "datetime-offset": NOW.astimezone(east),
        "datetime-naive": NOW.replace(tzinfo=None),
        "datetime-whole": NOW.replace(microsecond=0),
        "date": date(2026, 11, 22),
        "time": time(1, 2, 3, 4),
        "time-offset": time(1, 2, tzinfo=east),
        "decimal": Decimal("1.10"),
        "decimal-nan": Decimal("NaN"),
        "uuid": uuid.UUID(int=5),
        "bytes-text": "snö".encode(),
        "bytes-binary": b"\xff\xfe",
        "bytes-empty": b"",
        "nan": float("nan"),
        "infinity": [float("inf"), float("-inf")],
        "big-integer": 2**70,
        "surrogate": "\ud800",
        "keys": {7: "a", 1.5: "b", True: "c", None: "d"},
        "tuple": (1, (2, 3)),
        "nested": {"a": [{"when": date(2026, 1, 1)}]},
        "escapes": '"\\/\b\f\n\r\t\x00\x7f\u2028',
    }
    table = {name: {"text": kombu_json.dumps(value)} for name, value in values.items()}
    for entry in table.values():
        entry["repr"] = repr(kombu_json.loads(entry["text"]))
    (out / "values.json").write_text(json.dumps(table, indent=1) + "\n")


def main():
    for name, capture in (("messages", capture_messages), ("results", capture_results)):
        out = HERE / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        with tempfile.TemporaryDirectory() as folder:
            capture(Path(folder), out)
    capture_json(HERE)


if __name__ == "__main__":
    main()
