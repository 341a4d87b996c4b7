"""Where an application's settings come from, and what they do to its tasks and modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from celeriac import Celeriac
from celeriac.exceptions import ImproperlyConfigured


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to an empty directory in Python's path, with no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CELERIAC_", "CELERY_"))]:
        monkeypatch.delenv(name)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def app(**settings: object) -> Celeriac:
    return Celeriac("x", set_as_current=False, **settings)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# -- sources ----------------------------------------------------------------------------------------------------------


def test_settings_may_be_given_when_the_app_is_made(place):
    made = app(broker="memory://a", backend="memory://b", include=["m"], task_serializer="yaml")
    assert (made.conf.broker_url, made.conf.result_backend) == ("memory://a", "memory://b")
    assert (list(made.conf.include), made.conf.task_serializer) == (["m"], "yaml")


def test_changes_are_settings_too(place):
    assert app(changes={"task_serializer": "yaml"}).conf.task_serializer == "yaml"


@pytest.mark.parametrize("form", ["object", "mapping", "module", "attribute"])
def test_config_from_object_takes_an_object_a_mapping_or_a_module(place, form):
    write(place / "mysettings.py", "task_serializer = 'yaml'\nclass Inner:\n    task_serializer = 'yaml'\n")
    source = {
        "object": SimpleNamespace(task_serializer="yaml"),
        "mapping": {"task_serializer": "yaml"},
        "module": "mysettings",
        "attribute": "mysettings:Inner",
    }[form]
    made = app()
    made.config_from_object(source)
    assert made.conf.task_serializer == "yaml"


def test_with_a_namespace_only_names_with_that_prefix_count(place):
    made = app()
    made.config_from_object({"CELERY_TASK_SERIALIZER": "yaml", "SECRET": "x"}, namespace="CELERY")
    assert made.conf.task_serializer == "yaml"
    assert "SECRET" not in made.conf


def test_a_source_is_read_when_the_settings_are_first_used(place):
    made = app()
    made.config_from_object("later")
    write(place / "later.py", "task_serializer = 'yaml'\n")
    assert made.conf.task_serializer == "yaml"


def test_force_reads_a_source_at_once(place):
    with pytest.raises(ImproperlyConfigured, match="no configuration 'missing'"):
        app().config_from_object("missing", force=True)


def test_silent_passes_over_a_module_that_does_not_exist(place):
    made = app()
    made.config_from_object("missing", silent=True)
    assert made.conf.task_serializer == "json"


def test_a_source_named_after_the_settings_were_used_counts_from_then_on(place):
    made = app()
    assert made.conf.task_serializer == "json"
    made.config_from_object({"task_serializer": "yaml"})
    assert made.conf.task_serializer == "yaml"


def test_config_from_envvar_reads_the_module_that_the_variable_names(place, monkeypatch):
    write(place / "named.py", "task_serializer = 'yaml'\n")
    monkeypatch.setenv("MY_CONFIG", "named")
    made = app()
    assert made.config_from_envvar("MY_CONFIG") is True
    assert made.conf.task_serializer == "yaml"


def test_a_variable_that_is_not_set_is_an_error_unless_silent(place):
    assert app().config_from_envvar("MY_CONFIG", silent=True) is False
    with pytest.raises(KeyError, match="MY_CONFIG is not set"):
        app().config_from_envvar("MY_CONFIG")


def test_defaults_count_only_where_nothing_else_was_said(place):
    made = app(task_serializer="yaml")
    made.add_defaults({"task_serializer": "pickle", "result_serializer": "yaml"})
    assert (made.conf.task_serializer, made.conf.result_serializer) == ("yaml", "yaml")


def test_the_app_s_own_settings_win_over_its_module_and_the_environment(place, monkeypatch):
    monkeypatch.setenv("CELERIAC_TASK_SERIALIZER", "pickle")
    monkeypatch.setenv("CELERIAC_RESULT_SERIALIZER", "yaml")
    made = app(task_serializer="yaml", config_source={"task_serializer": "json", "result_serializer": "json"})
    assert (made.conf.task_serializer, made.conf.result_serializer) == ("yaml", "yaml")


def test_a_wrong_setting_is_an_error_that_names_it(place):
    with pytest.raises(ImproperlyConfigured, match=r"task_serialiser.*task_serializer"):
        _ = app(task_serialiser="json").conf


# -- annotations ------------------------------------------------------------------------------------------------------


def test_annotations_change_attributes_of_all_tasks_or_of_one(spine):
    spine.app.conf.task_annotations = {"*": {"max_retries": 9}, "one": {"max_retries": 1, "queue": "apart"}}
    one, other = (spine.app.task(name=name)(lambda: None) for name in ("one", "other"))
    spine.app.finalize()
    assert (one.max_retries, one.queue) == (1, "apart")
    assert (other.max_retries, other.queue) == (9, None)


def test_annotations_may_be_a_list_of_which_the_last_wins(make_spine):
    spine = make_spine(task_annotations=[{"*": {"max_retries": 1}}, {"*": {"max_retries": 2}}])
    task = spine.app.task(lambda: None)
    spine.app.finalize()
    assert task.max_retries == 2


def test_annotations_count_when_the_first_task_is_sent(make_spine):
    spine = make_spine(task_annotations={"t": {"queue": "apart"}})
    spine.app.task(name="t")(lambda: None).delay()
    assert len(spine.taken("apart")) == 1


def test_a_task_that_is_made_after_the_first_use_is_annotated_too(make_spine):
    spine = make_spine(task_annotations={"*": {"max_retries": 9}})
    spine.app.finalize()
    assert spine.app.task(lambda: None).max_retries == 9


# -- modules ----------------------------------------------------------------------------------------------------------

TASKS = "import {app}\n@{app}.app.task(name='{name}')\ndef task(): ...\n"


@pytest.fixture
def project(place: Path) -> Celeriac:
    write(place / "myproject.py", "from celeriac import Celeriac\napp = Celeriac('p', broker='memory://')\n")
    for package, module in (("shop", "tasks"), ("mail", "jobs"), ("empty", "__init__")):
        write(place / package / "__init__.py", "")
        if module != "__init__":
            write(place / package / f"{module}.py", TASKS.format(app="myproject", name=f"{package}.{module}"))
    write(place / "alone.py", TASKS.format(app="myproject", name="alone"))
    import myproject

    return myproject.app


def test_autodiscover_imports_the_tasks_of_each_package_when_a_worker_starts(project):
    project.autodiscover_tasks(["shop", "empty", "alone"])
    assert not project.tasks.regular()
    project.import_modules()
    assert set(project.tasks.regular()) == {"shop.tasks", "alone"}


def test_autodiscover_may_look_for_another_module_and_ask_late_for_the_packages(project):
    project.autodiscover_tasks(lambda: ["mail"], related_name="jobs")
    project.import_modules()
    assert set(project.tasks.regular()) == {"mail.jobs"}


def test_autodiscover_may_be_made_to_act_at_once(project):
    project.autodiscover_tasks(["shop"], force=True)
    assert set(project.tasks.regular()) == {"shop.tasks"}


def test_autodiscover_without_a_name_imports_the_packages_themselves(project):
    project.autodiscover_tasks(["alone"], related_name=None, force=True)
    assert set(project.tasks.regular()) == {"alone"}


def test_an_error_in_a_discovered_module_is_the_user_s_to_see(project, place):
    write(place / "broken" / "__init__.py", "")
    write(place / "broken" / "tasks.py", "import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        project.autodiscover_tasks(["broken"], force=True)


def test_modules_in_imports_and_include_are_imported(place, project):
    project.conf.imports, project.conf.include = ["shop.tasks"], ["mail.jobs"]
    project.import_modules()
    assert set(project.tasks.regular()) == {"shop.tasks", "mail.jobs"}
