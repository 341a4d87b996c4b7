"""``report`` and ``shell``."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Project

TASKS = """\
from celeriac import Celeriac

app = Celeriac("mine", broker=URL, redis_password="s3cret", set_as_current=False)


@app.task
def add(x, y):
    return x + y
"""


def test_report_tells_versions_application_and_settings_without_secrets(project: Project) -> None:
    project.write("tasks.py", TASKS)
    result = project.run("-A", "tasks", "report", "--json")
    report = json.loads(result.output)
    assert report["software"]["python"].startswith("CPython 3.")
    assert report["application"] == {"name": "mine", "queues": ["celery"], "tasks": ["tasks.add"]}
    assert report["settings"]["broker_url"] == project.url
    assert "s3cret" not in result.output


def test_report_says_which_store_answers_and_which_does_not(project: Project) -> None:
    nowhere = "sqlite:////nonexistent/folder/celeriac.db"
    result = project.on_store("--result-backend", nowhere, "report", "--json")
    stores = json.loads(result.output)["stores"]
    assert result.exit_code == 0
    assert stores["broker"] == {"url": project.url, "answers": True, "error": None}
    assert (stores["results"]["url"], stores["results"]["answers"]) == (nowhere, False)
    assert "/nonexistent/folder" in stores["results"]["error"]
    shown = project.on_store("--result-backend", nowhere, "report").output
    assert f"answers: {project.url}" in shown
    assert "unreachable: " in shown


def test_report_names_the_queues_of_a_setting(project: Project) -> None:
    project.write(
        "tasks.py", "from celeriac import Celeriac, Queue\napp = Celeriac(broker=URL, task_queues=[Queue('q')])\n"
    )
    assert json.loads(project.run("-A", "tasks", "report", "--json").output)["settings"]["task_queues"] == ["q"]


@pytest.mark.parametrize(
    ("variable", "option", "colored"),
    [
        ("FORCE_COLOR", (), True),
        ("NO_COLOR", (), False),
        ("FORCE_COLOR", ("-C",), False),
        ("LANG", (), False),
    ],
)
def test_colour_follows_the_terminal_the_environment_and_the_option(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, option: tuple[str, ...], colored: bool
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    result = project.on_store("--result-backend", "sqlite:////nonexistent/folder/celeriac.db", "report", *option)
    assert ("\x1b[31m" in result.output) is colored
    if option:
        assert "\x1b" not in result.output, "bold and italic are left out as well"


def test_report_for_people_has_the_same_sections(project: Project) -> None:
    shown = project.on_store("report").output
    for section in ("software", "application", "stores", "settings"):
        assert section in shown


def test_the_shell_knows_the_application_and_its_tasks(project: Project) -> None:
    project.write("tasks.py", TASKS)
    result = project.run("-A", "tasks", "shell", "--python", typed="print(app.main, add.name, add(4, 5))\n")
    assert result.exit_code == 0
    assert "mine tasks.add 9" in result.output


def test_the_shell_can_leave_the_tasks_out(project: Project) -> None:
    project.write("tasks.py", TASKS)
    result = project.run("-A", "tasks", "shell", "--python", "-T", typed="print('add' in globals())\n")
    assert "False" in result.output


DISCOVERING = """\
from celeriac import Celeriac

app = Celeriac("mine", broker=URL, set_as_current=False)
app.conf.imports = ["apart"]
"""
APART = """\
from mine import app


@app.task(queue="apart")
def add(x, y):
    return x + y
"""


@pytest.fixture
def apart(project: Project) -> Project:
    """A project whose tasks are in a module that a worker imports, and the application's does not."""
    project.write("mine.py", DISCOVERING)
    project.write("apart.py", APART)
    return project


def test_the_shell_knows_tasks_of_modules_that_a_worker_imports(apart: Project) -> None:
    result = apart.run("-A", "mine", "shell", "--python", typed="print(add.name)\n")
    assert "apart.add" in result.output


def test_purge_knows_queues_of_tasks_in_modules_that_a_worker_imports(apart: Project) -> None:
    assert json.loads(apart.run("-A", "mine", "purge", "--json").output) == {"celery": 0, "apart": 0}


def test_report_names_tasks_of_modules_that_a_worker_imports(apart: Project) -> None:
    told = json.loads(apart.run("-A", "mine", "report", "--json").output)
    assert told["application"]["tasks"] == ["apart.add"]


def test_report_tells_of_a_module_that_cannot_be_imported(apart: Project) -> None:
    apart.write("apart.py", "import nowhere_to_be_found")
    result = apart.run("-A", "mine", "report", "--json")
    assert result.exit_code == 0
    assert "nowhere_to_be_found" in json.loads(result.output)["application"]["not imported"]


def test_report_says_when_all_settings_have_their_defaults(project: Project) -> None:
    assert "at their defaults" in project.run("report").output
