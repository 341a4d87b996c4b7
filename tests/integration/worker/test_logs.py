"""What a worker writes, and where."""

from __future__ import annotations

import json
import re

from tests.integration.worker.node import until
from tests.integration.worker.place import Place

WAIT = 10.0


def test_log_lines_have_celerys_form(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "1")
    result = sqlite_place.send("add", 2, 2)
    result.get(timeout=WAIT)
    until(lambda: "succeeded" in worker.log)
    stamp = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: INFO/"
    assert re.search(rf"^{stamp}MainProcess\] celery@\S+ ready\.$", worker.log, re.MULTILINE)
    task = re.escape(f"Task shop.add[{result.id}]")
    assert re.search(rf"^{stamp}Engine-1\] {task} received$", worker.log, re.MULTILINE)
    assert re.search(rf"^{stamp}Engine-1\] {task} succeeded in [\d.e-]+s: 4$", worker.log, re.MULTILINE)


def test_ready_is_said_once_by_the_node(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "3")
    sqlite_place.send("add", 2, 2).get(timeout=WAIT)
    assert worker.log.count(" ready.") == 1


def test_the_log_may_be_json_with_the_tasks_name_and_id(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "1", "--logfile", "worker.json", "--", "worker_log_json=true", ready=False)
    log = sqlite_place.directory / "worker-1.json"
    result = sqlite_place.send("tell", "from inside")
    result.get(timeout=WAIT)
    failed = sqlite_place.send("fail", "on purpose")
    failed.get(timeout=WAIT, propagate=False)
    assert worker.terminate() == 0
    files = sorted(sqlite_place.directory.glob("worker*.json"))
    assert log not in files, "only %I numbers the files"
    entries = [json.loads(line) for line in (sqlite_place.directory / "worker.json").read_text().splitlines()]
    assert {"time", "level", "logger", "process", "pid", "message"} <= entries[0].keys()
    assert any(entry["message"].endswith("ready.") and "task_id" not in entry for entry in entries)
    inside = next(entry for entry in entries if entry["message"] == "from inside")
    assert (inside["task_name"], inside["task_id"]) == ("shop.tell", result.id)
    error = next(entry for entry in entries if entry["level"] == "ERROR")
    assert (error["task_name"], error["task_id"]) == ("shop.fail", failed.id)
    assert "ValueError: on purpose" in error["message"]


def test_each_engine_may_have_a_file_of_its_own(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "2", "-n", "w1@%h", "-f", "%n%I.log", ready=False)
    node = sqlite_place.directory / "w1.log"
    until(lambda: node.exists() and " ready." in node.read_text(), "the node's log")
    sqlite_place.send("add", 1, 1).get(timeout=WAIT)
    assert worker.terminate() == 0
    names = sorted(path.name for path in sqlite_place.directory.glob("w1*.log"))
    assert names == ["w1-1.log", "w1-2.log", "w1.log"]
    engines = [(sqlite_place.directory / name).read_text() for name in names[:2]]
    assert sum("succeeded" in text for text in engines) == 1
    assert "succeeded" not in node.read_text()


def test_a_logfile_that_cannot_be_written_is_named(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-f", "nowhere/worker.log", ready=False)
    assert worker.wait() == 2
    assert worker.log == "Error: The logfile nowhere/worker.log cannot be written: No such file or directory.\n"


def test_formats_may_be_ones_own(sqlite_place: Place) -> None:
    formats = ("worker_log_format=%(levelname)s|%(message)s", "worker_task_log_format=%(task_name)s|%(message)s")
    worker = sqlite_place.worker("-c", "1", "--", *formats)
    sqlite_place.send("tell", "from inside").get(timeout=WAIT)
    assert re.search(r"^INFO\|celery@\S+ ready\.$", worker.log, re.MULTILINE)
    until(lambda: "shop.tell|from inside" in worker.log, "the task's line")


def test_printing_can_be_left_alone(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "1", "--", "worker_redirect_stdouts=false")
    sqlite_place.send("say", "plainly").get(timeout=WAIT)
    assert worker.terminate() == 0
    assert "plainly" in worker.log.splitlines()


def test_the_log_level_hides_what_is_below(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-l", "error", "-c", "1", ready=False)
    sqlite_place.send("add", 1, 1).get(timeout=WAIT)
    sqlite_place.send("fail", "loudly").get(timeout=WAIT, propagate=False)
    until(lambda: "loudly" in worker.log)
    assert "ready." not in worker.log
    assert "succeeded" not in worker.log


def test_options_and_settings_without_effect_are_named_once(make_place) -> None:
    place = make_place("redis", visibility_timeout=5, fanout_prefix=True, no_such_option=1)
    worker = place.worker("-c", "2", "--", "broker_pool_limit=5", "worker_prefetch_multiplier=1")
    place.send("add", 1, 1).get(timeout=WAIT)
    assert worker.log.count("no_such_option") == 1
    assert worker.log.count("broker_pool_limit has no effect") == 1
    assert worker.log.count("worker_prefetch_multiplier has no effect") == 1
    assert "visibility_timeout" not in worker.log
    assert worker.terminate() == 0


def test_the_pidfile_names_the_node_while_it_runs(sqlite_place: Place) -> None:
    worker = sqlite_place.worker("-c", "1", "--pidfile", "worker.pid")
    pidfile = sqlite_place.directory / "worker.pid"
    assert int(pidfile.read_text()) == worker.pid
    assert worker.terminate() == 0
    assert not pidfile.exists()


def test_a_pidfile_left_by_a_killed_worker_is_taken_over(sqlite_place: Place) -> None:
    first = sqlite_place.worker("-c", "1", "--pidfile", "worker.pid")
    first.kill()
    second = sqlite_place.worker("-c", "1", "--pidfile", "worker.pid")
    assert int((sqlite_place.directory / "worker.pid").read_text()) == second.pid


def test_a_password_is_never_in_the_log(make_place, own_redis_server) -> None:
    url = own_redis_server.url.replace("redis://", "redis://:a-secret@")
    place = make_place(url)
    own_redis_server.client().config_set("requirepass", "a-secret")
    worker = place.worker("-c", "1", "-l", "debug")
    place.send("add", 1, 1).get(timeout=WAIT)
    own_redis_server.stop()
    until(lambda: "Cannot receive from" in worker.log)
    assert "a-secret" not in worker.log
