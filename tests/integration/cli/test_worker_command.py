"""The commands as a user types them: real processes, the SQLite store that is there with nothing configured."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.integration.cli.conftest import DEADLINE, Shop


def test_a_task_called_from_one_process_is_done_by_a_worker_in_another(shop: Shop) -> None:
    shop.start_worker("-c", "1")
    called = shop.type("-A", "tasks", "call", "tasks.add", "-a", "[4, 5]", "--wait", "--json")
    assert called.returncode == 0, called.stderr + shop.log()
    assert json.loads(called.stdout)["result"] == 9


def test_a_task_may_be_called_before_any_worker_is_there(shop: Shop) -> None:
    task_id = shop.type("-A", "tasks", "call", "tasks.add", "-a", "[4, 5]").stdout.strip()
    assert json.loads(shop.type("-A", "tasks", "queues", "--json").stdout)["celery"]["ready"] == 1
    shop.start_worker("-P", "solo")
    result = shop.type("-A", "tasks", "result", task_id)
    assert (result.returncode, result.stdout) == (0, "9\n"), result.stderr + shop.log()


def test_a_failed_task_is_told_with_its_traceback(shop: Shop) -> None:
    shop.start_worker("-P", "threads", "-c", "2")
    task_id = shop.type("-A", "tasks", "call", "tasks.fail").stdout.strip()
    plain = shop.type("-A", "tasks", "result", task_id)
    assert (plain.returncode, plain.stdout) == (1, "FAILURE: ValueError: no such thing\n")
    traced = shop.type("-A", "tasks", "result", task_id, "--traceback")
    assert "tasks.py" in traced.stdout
    assert traced.stdout.rstrip().endswith("ValueError: no such thing")


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_asked_to_stop_ends_warmly_with_0(shop: Shop, pool: str) -> None:
    worker = shop.start_worker("-P", pool, "-c", "1", "-n", "here@%h")
    shop.until(lambda: " ready." in shop.log())
    assert "here@" in shop.log()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=DEADLINE) == 0, shop.log()


def test_a_worker_says_when_it_is_ready_and_when_it_has_stopped_at_the_default_level(shop: Shop) -> None:
    worker = shop.start_worker("-P", "solo", "-n", "here@%h", "-l", "WARNING")
    shop.until(lambda: " ready." in shop.log())
    assert "\n           tasks.fail\n" in shop.log(), "one task a line"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=DEADLINE) == 0, shop.log()
    assert shop.log().index("Warm shutdown") < shop.log().index(" has stopped: what ran has ended or was given back")


def test_options_of_celery_without_meaning_here_are_accepted_and_named_once(shop: Shop) -> None:
    shop.start_worker("-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair")
    shop.until(lambda: " ready." in shop.log())
    line = "Without effect here: -O, --without-gossip, --without-mingle, --without-heartbeat."
    assert shop.log().count(line) == 1


def test_settings_may_follow_two_dashes(shop: Shop) -> None:
    shop.start_worker("-P", "solo", "--", "worker.log_format=<%(message)s>", "task_default_queue=special")
    shop.type("-A", "tasks", "call", "tasks.add", "-a", "[1, 2]", "--queue", "special")
    shop.until(lambda: "ready.>" in shop.log())
    shop.until(lambda: "succeeded" in shop.log())


def test_a_worker_with_purge_begins_with_empty_queues(shop: Shop) -> None:
    shop.type("-A", "tasks", "call", "tasks.fail")
    shop.start_worker("-P", "solo", "--purge")
    shop.until(lambda: " ready." in shop.log())
    figures = json.loads(shop.type("-A", "tasks", "queues", "--json").stdout)["celery"]
    assert (figures["ready"], figures["leased"], figures["dead"]) == (0, 0, 0)
    assert "ValueError" not in shop.log()


def test_a_second_worker_with_the_same_pidfile_does_not_start(shop: Shop) -> None:
    first = shop.start_worker("-P", "solo", "--pidfile", "worker.pid")
    shop.until(lambda: " ready." in shop.log())
    assert int((shop.directory / "worker.pid").read_text()) == first.pid
    second = shop.start_worker("-P", "solo", "--pidfile", "worker.pid")
    assert second.wait(timeout=DEADLINE) != 0
    assert first.poll() is None
    first.terminate()
    assert first.wait(timeout=DEADLINE) == 0
    assert not (shop.directory / "worker.pid").exists()


def test_a_worker_without_an_application_says_what_to_do(shop: Shop) -> None:
    result = shop.type("worker")
    assert result.returncode == 2
    assert "Say -A module" in result.stderr


def test_a_broken_module_ends_the_worker_with_the_users_traceback(shop: Shop) -> None:
    (shop.directory / "broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    result = shop.type("-A", "broken", "worker")
    assert result.returncode == 1
    assert 'broken.py", line 1' in result.stderr
    assert "nothing_of_that_name" in result.stderr


def test_a_broken_module_named_with_include_is_shown_as_the_users_error(shop: Shop) -> None:
    (shop.directory / "more.py").write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    result = shop.type("-A", "tasks", "worker", "-I", "more")
    assert result.returncode == 1
    assert 'more.py", line 1' in result.stderr
    assert "celeriac/" not in result.stderr


def test_a_pool_that_is_not_there_is_answered_with_what_to_write_instead(shop: Shop) -> None:
    result = shop.type("-A", "tasks", "worker", "-P", "gevent")
    assert result.returncode == 2
    assert "async def" in result.stderr


def test_a_worker_whose_file_belongs_to_another_program_says_so_and_ends(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.directory / "celeriac.db")) as theirs:
        theirs.execute("CREATE TABLE theirs (a)")
    assert shop.start_worker("-c", "1").wait(timeout=DEADLINE) == 2
    assert "belongs to another program" in shop.log()
