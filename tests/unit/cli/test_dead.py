"""``dead list``, ``show``, ``requeue`` and ``purge`` on a store."""

from __future__ import annotations

import json

import pytest
from click.testing import Result

from celeriac import states
from celeriac.cli.output import plain
from celeriac.drivers.memory import store as memory
from celeriac.exceptions import NotRegistered
from celeriac.interfaces.broker import Outgoing, Route, Terms
from celeriac.wire.message import Message
from celeriac.wire.results import TaskResult
from tests.unit.cli.conftest import Project

BROKEN = b"\x1b[2Jno message at all"


def reject(project: Project, queue: str, reason: str) -> None:
    held = project.app.broker.receive([queue], Terms(limit=100, lease=30, owner="test"), wait=0)
    project.app.broker.reject([delivery.lease for delivery in held], reason=reason)


def bury(project: Project, *tasks: str, queue: str = "celery", reason: str = "no") -> list[str]:
    """Send the tasks and reject them as a worker does; return their ids."""
    ids = []
    for task in tasks:
        sent = project.app.send_task(task, (1, "two"), {"key": [3]}, queue=queue)
        failed = TaskResult(
            task_id=sent.id, state=states.FAILURE, result=NotRegistered(task), traceback="line 1\nline 2"
        )
        project.app.writer.store([project.app.writer.record(failed)])
        ids.append(sent.id)
    reject(project, queue, reason)
    return ids


def bury_broken(project: Project) -> None:
    memory.share(project.url.removeprefix("memory://")).shelves.put_raw("celery", BROKEN)
    reject(project, "celery", "unreadable")


def listed(project: Project, *arguments: str) -> list[dict]:
    result = project.on_store("dead", "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def dead(project: Project, queue: str = "celery") -> int:
    return project.app.broker.stats([queue])[queue].dead


def test_list_shows_a_table_of_dead_letters(project: Project) -> None:
    (task_id,) = bury(project, "proj.add", reason="task proj.add is not registered")
    bury_broken(project)
    shown = project.on_store("dead", "list").stdout
    for word in ("proj.add", task_id, "task proj.add is not registered", "unreadable", "celery", "0."):
        assert word in shown


def test_list_of_nothing_says_so(project: Project) -> None:
    result = project.on_store("dead", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No dead letter found" in result.stderr


def test_list_with_json_prints_an_object_a_line(project: Project) -> None:
    first, second = bury(project, "a", "b", reason="two\nlines")
    letters = listed(project)
    assert [letter["task_id"] for letter in letters] == [second, first]
    assert letters[0].keys() == {"id", "queue", "task", "task_id", "died", "reason", "redelivered"}
    assert letters[0]["reason"] == "two\nlines"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("-Q", "one"), ["x.b", "x.a"]),
        (("--queue", "one,two"), ["y.c", "x.b", "x.a"]),
        (("--task", "x.a"), ["x.a"]),
        (("--task", "x.*"), ["x.b", "x.a"]),
        (("--reason", "SECOND"), ["y.c"]),
        (("--older-than", "1h"), []),
        (("--older-than", "0s"), ["y.c", "x.b", "x.a"]),
        (("-n", "2"), ["y.c", "x.b"]),
    ],
)
def test_list_finds_letters_by_what_they_have_in_common(
    project: Project, wanted: tuple[str, ...], found: list[str]
) -> None:
    bury(project, "x.a", "x.b", queue="one", reason="the first")
    bury(project, "y.c", queue="two", reason="the second")
    assert [letter["task"] for letter in listed(project, *wanted)] == found


def test_list_says_that_there_are_more(project: Project) -> None:
    bury(project, *("t" for _ in range(52)))
    result = project.on_store("dead", "list", "--json")
    assert len(result.stdout.splitlines()) == 50
    assert "more than 50" in result.stderr
    assert len(listed(project, "--all")) == 52


@pytest.mark.parametrize("age", ["soon", "2", "h", "-1h", "1y", ""])
def test_an_age_that_makes_no_sense_is_a_usage_error(project: Project, age: str) -> None:
    result = project.on_store("dead", "list", "--older-than", age)
    assert result.exit_code == 2
    assert "such as 90s, 30m, 2h or 7d" in result.output


def show(project: Project, *arguments: str) -> Result:
    return project.on_store("dead", "show", listed(project)[0]["id"], *arguments)


def test_show_tells_reason_headers_arguments_and_what_became_of_the_task(project: Project) -> None:
    (task_id,) = bury(project, "proj.add", reason="a reason\nwith history")
    shown = show(project).stdout.splitlines()
    parts = {line[2:16].strip(): line[18:] for line in shown[1:] if line[2:16].strip()}
    assert (parts["queue"], parts["task"], parts["task id"]) == ("celery", "proj.add", task_id)
    assert parts["args"] == "[1, 'two']"
    assert parts["kwargs"] == "{'key': [3]}"
    assert parts["header lang"] == "'py'"
    assert parts["result"] == "FAILURE: NotRegistered: proj.add"
    assert parts["died"].endswith("s ago")
    for first, second in (("a reason", "with history"), ("line 1", "line 2")):
        place = next(number for number, line in enumerate(shown) if line[18:] == first)
        assert shown[place + 1] == f"{'':<18}{second}"


def test_show_with_json_prints_all(project: Project) -> None:
    (task_id,) = bury(project, "proj.add")
    letter = json.loads(show(project, "--json").stdout)
    assert (letter["args"], letter["kwargs"]) == ([1, "two"], {"key": [3]})
    assert (letter["headers"]["id"], letter["state"], letter["traceback"]) == (task_id, "FAILURE", "line 1\nline 2")


def test_show_leaves_content_that_is_not_accepted_unread(project: Project) -> None:
    message = Message({"task": "t", "id": "i"}, b"\x80\x05N.", content_type="application/x-python-serialize")
    project.app.broker.send([Outgoing(Route("celery"), message)])
    reject(project, "celery", "content type not accepted")
    shown = show(project).stdout
    assert repr(message.body) in shown
    assert "is not accepted here" in shown


def test_show_cuts_what_is_long(project: Project) -> None:
    project.app.send_task("t", ("x" * 100_000,))
    reject(project, "celery", "too large")
    assert len(show(project).stdout) < 5000
    assert json.loads(show(project, "--json").stdout)["args"] == ["x" * 100_000]


def test_what_a_terminal_would_take_for_a_command_is_escaped(project: Project) -> None:
    bury(project, "evil\x1b[2J\u202e", reason="\x1b]0;mine\x07")
    bury_broken(project)
    for shown in (project.on_store("dead", "list").stdout, show(project).stdout):
        assert set(shown) - {"\n"} == {c for c in shown if c.isprintable()}
    assert plain("a\x1bb\tc") == "a\\x1bb\\tc"


def test_show_with_json_writes_half_a_character_as_an_escape(project: Project) -> None:
    project.app.broker.send([Outgoing(Route("celery"), Message({"task": "t", "half": "\ud800"}, b"[[], {}]"))])
    reject(project, "celery", "no id")
    assert json.loads(show(project, "--json").stdout)["headers"]["half"] == "\ud800"


def test_show_names_what_is_not_there_after_showing_the_rest(project: Project) -> None:
    bury(project, "proj.add")
    result = project.on_store("dead", "show", "nobody", listed(project)[0]["id"])
    assert result.exit_code == 1
    assert "proj.add" in result.stdout
    assert "No such dead letter: nobody." in result.stderr


def test_requeue_by_id_gives_back_and_makes_the_task_pending(project: Project) -> None:
    one, two = bury(project, "a", "b")
    result = project.on_store("dead", "requeue", listed(project)[0]["id"])
    assert result.exit_code == 0
    assert project.app.AsyncResult(two).state == states.PENDING
    assert project.app.AsyncResult(one).state == states.FAILURE
    assert (project.app.broker.stats(["celery"])["celery"].ready, dead(project)) == (1, 1)


def test_requeue_of_several_asks_first(project: Project) -> None:
    bury(project, "x.a", "x.b", "y.c")
    refused = project.on_store("dead", "requeue", "--task", "x.*", "-Q", "celery", typed="n\n")
    assert refused.exit_code == 1
    assert "Give back 2 dead letters of celery of task x.* on memory://" in refused.stderr
    assert dead(project) == 3
    agreed = project.on_store("dead", "requeue", "--task", "x.*", typed="y\n")
    assert (agreed.exit_code, agreed.stdout) == (0, "2 given back\n")
    held = project.app.broker.receive(["celery"], Terms(limit=10, lease=30, owner="test"), wait=0)
    assert [d.message.headers["task"] for d in held if isinstance(d.message, Message)] == ["x.a", "x.b"]


def test_requeue_gives_all_back_when_forced(project: Project) -> None:
    bury(project, "a", queue="one")
    bury(project, "b", queue="two")
    bury_broken(project)
    result = project.on_store("dead", "requeue", "--all", "-f")
    assert (result.exit_code, result.stdout) == (0, "3 given back\n")
    assert listed(project) == []


def test_requeue_of_what_is_not_there_fails_after_giving_the_rest_back(project: Project) -> None:
    bury(project, "a")
    result = project.on_store("dead", "requeue", "nobody", listed(project)[0]["id"])
    assert result.exit_code == 1
    assert "No such dead letter: nobody." in result.stderr
    assert result.stdout == "1 given back\n"
    assert dead(project) == 0


@pytest.mark.parametrize("command", ["requeue", "purge"])
def test_what_was_done_is_told_as_json(project: Project, command: str) -> None:
    bury(project, "a", "b", "c")
    by_id = project.on_store("dead", command, "nobody", listed(project)[0]["id"], "-f", "--json")
    assert (by_id.exit_code, json.loads(by_id.stdout)) == (1, {"done": 1, "missing": ["nobody"]})
    everything = project.on_store("dead", command, "--all", "-f", "--json")
    assert (everything.exit_code, json.loads(everything.stdout)) == (0, {"done": 2, "missing": []})


@pytest.mark.parametrize("command", ["requeue", "purge"])
def test_one_letter_is_asked_for_in_the_singular(project: Project, command: str) -> None:
    bury(project, "a")
    assert " 1 dead letter of task a on " in project.on_store("dead", command, "--task", "a", typed="n\n").stderr


@pytest.mark.parametrize("command", ["requeue", "purge"])
@pytest.mark.parametrize("arguments", [(), ("-f",), ("1", "--all"), ("1", "--task", "t")])
def test_without_a_clear_choice_nothing_is_decided(project: Project, command: str, arguments: tuple[str, ...]) -> None:
    bury(project, "t")
    result = project.on_store("dead", command, *arguments)
    assert result.exit_code == 2
    assert dead(project) == 1


def test_purge_asks_and_does_nothing_without_a_yes(project: Project) -> None:
    bury(project, "a")
    result = project.on_store("dead", "purge", "-Q", "celery", "--older-than", "0s", typed="n\n")
    assert result.exit_code == 1
    assert "Remove all dead letters of celery older than 0.0s on memory://" in result.stderr
    assert dead(project) == 1


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (("--all",), []),
        (("-Q", "one"), ["y.c"]),
        (("--older-than", "1h"), ["y.c", "x.b", "x.a"]),
        (("--older-than", "0s", "-Q", "two"), ["x.b", "x.a"]),
        (("--task", "x.a"), ["y.c", "x.b"]),
        (("--reason", "first", "--task", "*.b"), ["y.c", "x.a"]),
    ],
)
def test_purge_removes_what_was_chosen(project: Project, wanted: tuple[str, ...], left: list[str]) -> None:
    bury(project, "x.a", "x.b", queue="one", reason="the first")
    bury(project, "y.c", queue="two", reason="the second")
    result = project.on_store("dead", "purge", *wanted, typed="y\n" * 2)
    assert (result.exit_code, result.stdout) == (0, f"{3 - len(left)} removed\n")
    assert [letter["task"] for letter in listed(project)] == left


def test_purge_by_id_removes_that_letter_and_keeps_the_result(project: Project) -> None:
    _, two = bury(project, "a", "b")
    newest = listed(project)[0]["id"]
    assert project.on_store("dead", "purge", newest, "-f").stdout == "1 removed\n"
    assert [letter["task"] for letter in listed(project)] == ["a"]
    assert project.app.AsyncResult(two).state == states.FAILURE
    assert project.on_store("dead", "purge", newest, "-f").exit_code == 1


def test_the_common_options_may_stand_on_every_level(project: Project) -> None:
    bury(project, "a")
    for place in range(3):
        words = ["dead", "list", "--json"]
        words[place:place] = ["-b", project.url]
        assert json.loads(project.run(*words).stdout)["task"] == "a"


@pytest.mark.parametrize("name", ["list", "show", "requeue", "purge"])
def test_every_command_of_dead_has_help(project: Project, name: str) -> None:
    result = project.run("dead", name, "--help")
    assert result.exit_code == 0
    assert "Common options:" in result.output


def test_a_mistyped_command_of_dead_is_answered_with_the_one_meant(project: Project) -> None:
    result = project.run("dead", "lst")
    assert result.exit_code == 2
    assert "Did you mean 'list'?" in result.output


def test_a_broker_that_does_not_answer_ends_with_69(project: Project) -> None:
    assert project.run("-b", "sqlite:////nonexistent/folder/celeriac.db", "dead", "list").exit_code == 69
