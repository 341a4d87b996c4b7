"""From ``-A`` to the application in the user's code."""

from __future__ import annotations

import pytest

from celeriac.app.locate import locate
from celeriac.exceptions import ImproperlyConfigured
from tests.unit.cli.conftest import Project

APP = "from celeriac import Celeriac\n{name} = Celeriac('{name}', set_as_current=False)\n"


@pytest.mark.parametrize("name", ["app", "celery", "celeriac"])
def test_the_usual_names_of_the_variable_are_found(project: Project, name: str) -> None:
    project.write("tasks.py", APP.format(name=name) + APP.format(name="other"))
    located = locate("tasks")
    assert (located.app.main, located.spec) == (name, f"tasks:{name}")


def test_an_application_of_any_name_is_found_when_it_is_the_only_one(project: Project) -> None:
    project.write("tasks.py", APP.format(name="jobs") + "same = jobs\n")
    assert locate("tasks").app.main == "jobs"


def test_several_applications_are_listed_to_choose_from(project: Project) -> None:
    project.write("tasks.py", APP.format(name="one") + APP.format(name="two"))
    with pytest.raises(ImproperlyConfigured, match="several applications; choose one: tasks:one, tasks:two"):
        locate("tasks")


def test_an_attribute_is_taken_at_its_word(project: Project) -> None:
    project.write("tasks.py", APP.format(name="app") + APP.format(name="other"))
    assert locate("tasks:other").app.main == "other"


@pytest.mark.parametrize("module", ["celery", "celeriac", "app", "tasks"])
def test_a_package_is_searched_in_its_usual_modules(project: Project, module: str) -> None:
    project.write("proj/__init__.py", "")
    project.write(f"proj/{module}.py", APP.format(name="app"))
    assert locate("proj").spec == f"proj.{module}:app"


def test_a_dotted_path_may_end_in_the_variable(project: Project) -> None:
    project.write("proj/__init__.py", "")
    project.write("proj/jobs.py", APP.format(name="work"))
    assert locate("proj.jobs.work").spec == "proj.jobs:work"


def test_a_missing_module_is_named_with_where_it_was_looked_for(project: Project) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        locate("nowhere")
    assert "there is no module nowhere" in str(caught.value)
    assert str(project.directory) in str(caught.value)


def test_a_missing_attribute_is_named(project: Project) -> None:
    project.write("tasks.py", APP.format(name="app"))
    with pytest.raises(ImproperlyConfigured, match="tasks has no attribute no_such"):
        locate("tasks:no_such")


def test_what_is_no_application_is_told_by_its_type(project: Project) -> None:
    project.write("tasks.py", "app = {'not': 'an app'}\n")
    with pytest.raises(ImproperlyConfigured, match=r"tasks:app is no application but a builtins\.dict"):
        locate("tasks:app")


def test_an_application_of_celery_is_told_how_to_become_ours(project: Project) -> None:
    project.write(
        "tasks.py",
        "class Celery: pass\nCelery.__module__ = 'celery.app.base'\napp = Celery()\n",
    )
    with pytest.raises(ImproperlyConfigured, match="from celeriac import Celery"):
        locate("tasks")


def test_a_file_name_is_answered_with_the_module_to_write(project: Project) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"-A proj\.tasks"):
        locate("./proj/tasks.py")


def test_what_the_module_itself_cannot_import_is_the_users_error(project: Project) -> None:
    project.write("tasks.py", "import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        locate("tasks")


def test_a_syntax_error_passes_through(project: Project) -> None:
    project.write("tasks.py", "def broken(:\n")
    with pytest.raises(SyntaxError):
        locate("tasks")
