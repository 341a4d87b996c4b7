"""``report`` and ``shell``."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Project

TASKS = """\
from celeriac import Celeriac

app = Celeriac("mine", broker=URL, result_backend="redis://:s3cret@127.0.0.1:1/0", set_as_current=False)


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
    project.write("tasks.py", TASKS)
    stores = json.loads(project.run("-A", "tasks", "report", "--json").output)["stores"]
    assert stores["broker"] == f"answers: {project.url}"
    assert stores["results"].startswith("unreachable")


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
