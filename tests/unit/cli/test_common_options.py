"""What all commands share: where options may stand, defaults, errors and exit codes."""

from __future__ import annotations

import json

import pytest

from celeriac.cli.main import TABLE, cli
from tests.unit.cli.conftest import Project

TASKS = "from celeriac import Celeriac\napp = Celeriac('{name}', broker=URL, set_as_current=False)\n"


def name_of_app(output: str) -> str:
    name: str = json.loads(output)["application"]["name"]
    return name


@pytest.mark.parametrize("arguments", [("-A", "tasks", "report", "--json"), ("report", "--json", "-A", "tasks")])
def test_the_application_may_be_named_on_either_side_of_the_command(
    project: Project, arguments: tuple[str, ...]
) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    result = project.run(*arguments)
    assert (result.exit_code, name_of_app(result.output)) == (0, "mine")


def test_the_option_nearest_to_the_command_wins(project: Project) -> None:
    project.write("one.py", TASKS.format(name="one"))
    project.write("two.py", TASKS.format(name="two"))
    assert name_of_app(project.run("-A", "one", "report", "--json", "-A", "two").output) == "two"


@pytest.mark.parametrize("variable", ["CELERIAC_APP", "CELERY_APP"])
def test_the_environment_names_the_application(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    monkeypatch.setenv(variable, "tasks:app")
    assert name_of_app(project.run("report", "--json").output) == "mine"


def test_pyproject_names_the_application_also_from_a_folder_below(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pyproject.toml", '[tool.celeriac]\napp = "tasks:app"\n')
    project.write("tasks.py", TASKS.format(name="mine"))
    (project.directory / "below").mkdir()
    monkeypatch.chdir(project.directory / "below")
    assert name_of_app(project.run("report", "--json").output) == "mine"


def test_the_option_wins_over_pyproject(project: Project) -> None:
    project.write("pyproject.toml", '[tool.celeriac]\napp = "missing:app"\n')
    project.write("tasks.py", TASKS.format(name="mine"))
    assert name_of_app(project.run("report", "--json", "-A", "tasks").output) == "mine"


def test_workdir_is_where_the_application_is_looked_for(project: Project) -> None:
    project.write("deep/tasks.py", TASKS.format(name="deep"))
    assert name_of_app(project.run("report", "--json", "--workdir", "deep", "-A", "tasks").output) == "deep"


def test_the_broker_of_the_command_line_wins_over_the_applications(project: Project) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    report = json.loads(project.run("-A", "tasks", "report", "--json", "-b", "memory://elsewhere").output)
    assert report["stores"]["broker"]["url"] == "memory://elsewhere"


def test_a_config_module_is_read(project: Project) -> None:
    project.write("tasks.py", "from celeriac import Celeriac\napp = Celeriac(set_as_current=False)\n")
    project.write("special.py", "broker_url = 'memory://from-config'\n")
    report = json.loads(project.run("-A", "tasks", "--config", "special", "report", "--json").output)
    assert report["stores"]["broker"]["url"] == "memory://from-config"


def test_an_application_that_is_not_there_is_a_usage_error_that_says_what_was_tried(project: Project) -> None:
    result = project.run("-A", "nowhere", "report")
    assert result.exit_code == 2
    assert "there is no module nowhere" in result.output


def test_an_error_in_the_users_module_is_shown_with_its_own_traceback_alone(project: Project) -> None:
    project.write("helper.py", "raise RuntimeError('the config file is missing')\n")
    project.write("tasks.py", "import helper\n")
    result = project.run("-A", "tasks", "report")
    assert result.exit_code == 1
    assert 'tasks.py", line 1' in result.output
    assert "RuntimeError: the config file is missing" in result.output
    assert "celeriac/" not in result.output
    assert "importlib" not in result.output


def test_a_syntax_error_in_the_users_module_is_shown_with_its_line(project: Project) -> None:
    project.write("tasks.py", "x = (\n")
    result = project.run("-A", "tasks", "report")
    assert result.exit_code == 1
    assert 'tasks.py", line 1' in result.output
    assert "SyntaxError" in result.output


def test_a_wrong_setting_is_an_error_that_names_it(project: Project) -> None:
    project.write("tasks.py", "from celeriac import Celeriac\napp = Celeriac(task_acks_lat=True)\n")
    result = project.run("-A", "tasks", "report")
    assert result.exit_code == 2
    assert "task_acks_late" in result.output


@pytest.mark.parametrize(("wrong", "meant"), [("workr", "worker"), ("queue", "queues"), ("purg", "purge")])
def test_a_mistyped_command_is_answered_with_the_one_meant(project: Project, wrong: str, meant: str) -> None:
    result = project.run(wrong)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.output


@pytest.mark.parametrize(("celerys", "told"), [("beat", "no periodic tasks"), ("status", "celeriac health")])
def test_a_command_of_celerys_is_answered_with_what_to_do_instead(project: Project, celerys: str, told: str) -> None:
    result = project.run(celerys)
    assert result.exit_code == 2
    assert told in result.output
    assert "Did you mean" not in result.output


def test_a_command_that_resembles_none_is_answered_with_the_list(project: Project) -> None:
    assert "There are: worker, call" in project.run("xyzzy").output


def test_a_broker_that_does_not_answer_ends_with_69(project: Project) -> None:
    result = project.run("-b", "sqlite:////nonexistent/folder/celeriac.db", "queues")
    assert result.exit_code == 69
    assert "/nonexistent/folder" in result.output


@pytest.mark.parametrize("name", TABLE)
def test_the_list_of_commands_says_what_each_command_says_of_itself(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[attr-defined,arg-type]
    assert command is not None
    assert command.name == name
    assert TABLE[name].help.endswith(".")
    assert command.help


@pytest.mark.parametrize("name", TABLE)
def test_every_command_has_help(project: Project, name: str) -> None:
    result = project.run(name, "--help")
    assert result.exit_code == 0
    assert "Common options:" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(project: Project, shell: str) -> None:
    result = project.run("completion", shell)
    assert result.exit_code == 0
    assert "_CELERIAC_COMPLETE" in result.output


def test_quiet_leaves_out_the_note_on_the_embedded_store(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    assert project.run("-q", "queues", "--json").exit_code == 0
    assert caplog.text == ""
    assert project.run("queues", "--json").exit_code == 0
    assert caplog.text.count("No broker is configured") == 1


def test_the_embedded_store_is_in_the_project_that_configures_celeriac(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pyproject.toml", "[tool.celeriac]\ntask_acks_late = true\n")
    (project.directory / "below").mkdir()
    monkeypatch.chdir(project.directory / "below")
    assert project.run("-q", "call", "proj.add").exit_code == 0
    assert [path.name for path in (project.directory / "below").iterdir()] == []
    assert (project.directory / "celeriac.db").exists()


def test_a_project_that_says_nothing_of_celeriac_does_not_place_the_embedded_store(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pyproject.toml", "[project]\nname = 'x'\n")
    (project.directory / "below").mkdir()
    monkeypatch.chdir(project.directory / "below")
    assert project.run("-q", "call", "proj.add").exit_code == 0
    assert (project.directory / "below" / "celeriac.db").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-B",), "-B/--beat is an option of Celery's worker: this version has no scheduler"),
        (("--schedule", "x"), "this version has no scheduler"),
        (("--autoscale=3,4",), "with -c"),
        (("-D", "-l", "info"), "keep it in the background"),
    ],
)
def test_options_of_celerys_worker_that_would_be_missed_are_refused(
    project: Project, arguments: tuple[str, ...], says: str
) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    result = project.run("-A", "tasks", "worker", *arguments)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_refuses_to_run_tasks_in_processes_that_do_not_see_the_broker(project: Project, pool: str) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    result = project.run("-A", "tasks", "worker", "-P", pool)
    assert result.exit_code == 2
    assert "start the worker with -P solo" in result.output


def test_no_color_holds_for_the_log_of_a_worker_too(project: Project) -> None:
    settings = json.loads(project.on_store("-C", "report", "--json").output)["settings"]
    assert settings["worker_log_color"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ("-b", "carrier-pigeon://coop", "queues"),
        ("call", "proj.add", "--serializer", "nope"),
        ("-A", "tasks", "worker", "--", "task_track_started=maybe"),
        ("-A", "tasks", "worker", "-P", "gevent"),
    ],
)
def test_what_cannot_be_configured_is_a_wrong_use(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("tasks.py", TASKS.format(name="mine"))
    result = project.run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
