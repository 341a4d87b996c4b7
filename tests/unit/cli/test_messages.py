"""``call``, ``result``, ``queues`` and ``purge`` on a store."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from celeriac import Celeriac
from celeriac.interfaces.broker import Delivery, Terms
from celeriac.wire import tasks as wire
from tests.unit.cli.conftest import Project


def take(app: Celeriac, queue: str = "celery") -> Delivery:
    (delivery,) = app.broker.receive([queue], Terms(limit=10, lease=30, owner="test"), wait=0)
    return delivery


def test_call_prints_the_id_of_a_task_that_the_broker_has(project: Project) -> None:
    result = project.on_store("call", "proj.add", "-a", "[4, 5]", "-k", '{"z": 6}')
    assert result.exit_code == 0
    call = wire.decode(take(project.app).message, accept=frozenset({"application/json"}))
    assert (call.id, call.name, list(call.args), dict(call.kwargs)) == (
        result.output.strip(),
        "proj.add",
        [4, 5],
        {"z": 6},
    )


def test_call_sends_to_the_queue_that_is_named(project: Project) -> None:
    assert project.on_store("call", "proj.add", "--queue", "special", "--priority", "3").exit_code == 0
    assert take(project.app, "special").priority == 3


def test_call_names_the_task_that_may_have_been_meant(project: Project) -> None:
    project.write(
        "jobs.py",
        "from celeriac import Celeriac\napp = Celeriac('jobs', broker=URL, set_as_current=False)\n"
        "@app.task\ndef add(x, y): return x + y\n",
    )
    names = ("add", "jobs.ad", "jobs.add", "else")
    near, mistyped, known, unlike = (project.run("-A", "jobs", "call", name) for name in names)
    assert near.stderr == "It was sent, but no task here is called add: did you mean jobs.add?\n"
    assert mistyped.stderr == "It was sent, but no task here is called jobs.ad: did you mean jobs.add?\n"
    assert [near.exit_code, len(near.stdout.split())] == [0, 1]
    assert (known.stderr, unlike.stderr) == ("", "")


def test_call_with_json_prints_an_object(project: Project) -> None:
    result = project.on_store("call", "proj.add", "--task-id", "my-own", "--json")
    assert json.loads(result.output) == {"id": "my-own"}


@pytest.mark.parametrize("when", [("--countdown", "60"), ("--eta", "2999-01-31T12:00Z")])
def test_a_delayed_call_waits_in_the_store(project: Project, when: tuple[str, str]) -> None:
    assert project.on_store("call", "proj.add", *when).exit_code == 0
    assert project.app.broker.stats(["celery"])["celery"].delayed == 1


def test_a_moment_without_an_offset_is_utc(project: Project) -> None:
    project.on_store("call", "proj.add", "--eta", "2001-01-31T12:00", "--expires", "2999-02-01T12:00+02:00")
    call = wire.decode(take(project.app).message, accept=frozenset({"application/json"}))
    assert call.eta == datetime(2001, 1, 31, 12, tzinfo=UTC)
    assert call.expires == datetime(2999, 2, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-a", "{"), "JSON"),
        (("-a", '{"x": 1}'), "JSON"),
        (("-k", "[1]"), "JSON"),
        (("--eta", "tomorrow"), "tomorrow"),
        (("--expires", "soon"), "number of seconds"),
        (("--task-id", "a\0b"), "id"),
        (("--priority", "high"), "priority"),
    ],
)
def test_call_refuses_what_it_cannot_read_and_sends_nothing(
    project: Project, arguments: tuple[str, ...], word: str
) -> None:
    result = project.on_store("call", "proj.add", *arguments)
    assert result.exit_code == 2
    assert word in result.output
    assert project.app.broker.stats(["celery"])["celery"].ready == 0


def test_call_with_wait_says_that_the_task_has_not_ended(project: Project) -> None:
    result = project.on_store("call", "proj.add", "--wait", "--timeout", "0")
    assert result.exit_code == 1
    assert "PENDING" in result.output


def test_result_prints_the_value_of_a_task_that_succeeded(project: Project) -> None:
    project.app.writer.write_state("the-id", "SUCCESS", {"sum": 9})
    result = project.on_store("result", "the-id")
    assert (result.exit_code, result.output) == (0, "{'sum': 9}\n")


def test_result_with_json_prints_all_that_is_known(project: Project) -> None:
    project.app.writer.write_state("the-id", "SUCCESS", 9)
    known = json.loads(project.on_store("result", "the-id", "--json").output)
    assert (known["id"], known["state"], known["result"], known["traceback"]) == ("the-id", "SUCCESS", 9, None)
    assert known["exception"] is None


def test_result_with_json_names_the_class_of_an_error(project: Project) -> None:
    project.app.writer.write_state("the-id", "FAILURE", ValueError("boom"))
    known = json.loads(project.on_store("result", "the-id", "--json").output)
    assert (known["result"], known["exception"]) == ("ValueError: boom", "ValueError")


def test_queues_tells_of_a_name_that_nobody_knows(project: Project) -> None:
    result = project.on_store("queues", "-Q", "celery,nosuch")
    assert result.exit_code == 0
    assert "Neither configured nor known to the broker: nosuch." in result.stderr


def test_result_shows_the_progress_of_a_task_that_runs(project: Project) -> None:
    project.app.writer.write_state("the-id", "PROGRESS", {"done": 3})
    result = project.on_store("result", "the-id", "--timeout", "0")
    assert (result.exit_code, result.output) == (1, "PROGRESS: {'done': 3}\n")


def test_result_of_an_unknown_id_explains_itself(project: Project) -> None:
    result = project.on_store("result", "nobody-knows", "--timeout", "0")
    assert result.exit_code == 1
    assert "nobody knows this id" in result.output


def test_queues_counts_what_is_ready_delayed_and_leased(project: Project) -> None:
    for _ in range(3):
        project.on_store("call", "proj.add")
    project.on_store("call", "proj.add", "--countdown", "60")
    project.app.broker.receive(["celery"], Terms(limit=1, lease=30, owner="test"), wait=0)
    figures = json.loads(project.on_store("queues", "--json").output)["celery"]
    assert (figures["ready"], figures["delayed"], figures["leased"], figures["dead"]) == (2, 1, 1, 0)


def test_queues_shows_a_table_of_the_queues_that_the_store_knows(project: Project) -> None:
    project.on_store("call", "proj.add", "--queue", "special")
    shown = project.on_store("queues").output
    assert "celery" in shown
    assert "special" in shown
    assert "special" not in project.on_store("queues", "-Q", "celery").output


def test_purge_asks_and_does_nothing_without_a_yes(project: Project) -> None:
    project.on_store("call", "proj.add")
    result = project.on_store("purge", typed="n\n")
    assert result.exit_code == 1
    assert "Remove 1 message from celery" in result.output
    assert project.app.broker.stats(["celery"])["celery"].ready == 1


@pytest.mark.parametrize("command", [("purge",), ("dead", "requeue", "--all"), ("dead", "purge", "--all")])
def test_a_question_that_nobody_can_answer_is_a_no_that_names_the_option(
    project: Project, command: tuple[str, ...]
) -> None:
    project.on_store("call", "proj.add")
    project.on_store("call", "proj.add")
    (first, *_) = project.app.broker.receive(["celery"], Terms(limit=1, lease=30, owner="test"), wait=0)
    project.app.broker.reject([first.lease], reason="test")
    result = project.on_store(*command, typed="")
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: Nobody is there to answer, so nothing was done: -f does not ask.\n")
    stats = project.app.broker.stats(["celery"])["celery"]
    assert (stats.ready, stats.dead) == (1, 1)


def test_purge_removes_the_messages_after_a_yes(project: Project) -> None:
    project.on_store("call", "proj.add")
    result = project.on_store("purge", typed="y\n")
    assert result.exit_code == 0
    assert "celery: 1 removed" in result.output
    assert project.app.broker.stats(["celery"])["celery"].ready == 0


def test_purge_covers_the_queues_that_tasks_name(project: Project) -> None:
    project.write(
        "tasks.py",
        "from celeriac import Celeriac, Queue\n"
        "app = Celeriac('mine', broker=URL, set_as_current=False)\n"
        "app.task(name='a', queue='slow')(print)\n"
        "app.task(name='b', queue=Queue('night'))(print)\n",
    )
    for queue in ("slow", "night", "other"):
        project.on_store("call", "proj.add", "--queue", queue)
    result = project.run("-A", "tasks", "purge", "--json")
    assert json.loads(result.output) == {"celery": 0, "night": 1, "slow": 1}


def test_purge_asks_nothing_where_nothing_waits(project: Project) -> None:
    result = project.on_store("purge")
    assert (result.exit_code, result.output) == (0, f"Nothing waits in celery on {project.url}.\n")


def test_purge_spares_the_excluded_queues(project: Project) -> None:
    for queue in ("one", "two"):
        project.on_store("call", "proj.add", "--queue", queue)
    result = project.on_store("purge", "--json", "-Q", "one,two", "-X", "two")
    assert json.loads(result.output) == {"one": 1}
    assert project.app.broker.stats(["two"])["two"].ready == 1


def test_purge_of_nothing_is_a_usage_error(project: Project) -> None:
    assert project.on_store("purge", "-f", "-Q", "one", "-X", "one").exit_code == 2


def test_call_refuses_an_empty_name(project: Project) -> None:
    result = project.on_store("call", "")
    assert result.exit_code == 2
    assert "cannot be the name of a task" in result.output


@pytest.mark.parametrize("json_or_not", [(), ("--json",)])
def test_watching_queues_writes_at_once_and_ends_with_an_interrupt(
    project: Project, monkeypatch: pytest.MonkeyPatch, json_or_not: tuple[str, ...]
) -> None:
    def interrupt(_pause: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("celeriac.cli.queues.time.sleep", interrupt)
    result = project.on_store("queues", "-Q", "celery", "--watch", *json_or_not)
    assert result.exit_code == 0
    assert result.output.count("celery") == 1
