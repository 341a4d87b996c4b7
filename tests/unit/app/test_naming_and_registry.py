"""The names of tasks, and the tasks of an application by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from celeriac import Celeriac, Task
from celeriac.app.naming import task_name
from celeriac.exceptions import DuplicateTaskNameWarning, ImproperlyConfigured, NotRegistered


def function() -> None: ...


def test_a_task_is_named_for_its_module_and_function():
    assert task_name(function, main="ignored") == f"{__name__}.function"


@pytest.mark.parametrize(("main", "expected"), [("proj", "proj.add"), (None, "script.add")])
def test_in_the_script_that_was_started_the_app_or_the_file_stands_for_the_module(tmp_path, main, expected):
    script = tmp_path / "script.py"
    script.write_text(
        "from celeriac import Celeriac\n"
        f"app = Celeriac({main!r}, broker='memory://')\n"
        "@app.task\ndef add(): ...\nprint(add.name)\n"
    )
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=15)
    assert told.stdout.strip() == expected


def test_a_name_may_be_given(spine):
    assert spine.app.task(name="my.name")(function).name == "my.name"
    assert "my.name" in spine.app.tasks


def test_a_task_keeps_the_looks_of_its_function(spine):
    def documented() -> None:
        """Say what it does."""

    task = spine.app.task(documented)
    assert (task.__name__, task.__doc__, task.__module__) == ("documented", "Say what it does.", __name__)
    assert task.__wrapped__ is documented


def test_an_unknown_task_is_an_error_that_names_it(spine):
    with pytest.raises(NotRegistered, match=r"^no\.such$"):
        spine.app.tasks["no.such"]
    assert spine.app.tasks.get("no.such") is None


def test_the_same_function_seen_again_replaces_the_first_quietly(spine):
    first, second = (spine.app.task(name="again")(function) for _ in range(2))
    assert spine.app.tasks["again"] is second
    assert first is not second


def test_another_function_under_a_taken_name_is_told_of_and_left_out(spine):
    first = spine.app.task(name="taken")(function)
    with pytest.warns(DuplicateTaskNameWarning, match=r"'taken' is used by .*function and .*<lambda>"):
        second = spine.app.task(name="taken")(lambda: None)
    assert second is first is spine.app.tasks["taken"]


def test_a_task_can_be_taken_out(spine):
    spine.app.task(name="gone")(function)
    spine.app.tasks.unregister("gone")
    assert "gone" not in spine.app.tasks
    with pytest.raises(NotRegistered):
        spine.app.tasks.unregister("gone")


def test_the_decorator_refuses_what_is_no_function(spine):
    with pytest.raises(TypeError, match="write its options by name"):
        spine.app.task("my.name")


# -- tasks made of classes --------------------------------------------------------------------------------------------


class Add(Task):
    """A task as a class."""

    name = "class.add"

    def run(self, x: int, y: int = 1) -> int:
        return x + y


@pytest.mark.parametrize("make", [lambda: Add, Add], ids=["class", "instance"])
def test_a_class_with_a_run_method_is_a_task(spine, make):
    task = spine.app.register_task(make())
    assert spine.app.tasks["class.add"] is task
    assert task(2, y=3) == 5
    result = task.delay(2)
    spine.run()
    assert result.get() == 3


def test_the_arguments_of_a_class_are_checked_without_itself(spine):
    task = spine.app.register_task(Add)
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        task.delay()


def test_the_arguments_of_a_static_run_are_checked_whole(spine):
    class Static(Task):
        name = "class.static"

        @staticmethod
        def run(x):
            return x

    task = spine.app.register_task(Static)
    task.delay(1)
    with pytest.raises(TypeError, match="missing"):
        task.delay()


def test_a_class_without_a_name_is_named_for_itself(spine):
    class Unnamed(Task):
        def run(self) -> None: ...

    assert spine.app.register_task(Unnamed).name == f"{__name__}.Unnamed"


@pytest.mark.parametrize(
    ("candidate", "says"), [(object(), "takes a Task"), (dict, "takes a Task"), (Task, "no run method")]
)
def test_what_is_no_task_cannot_be_registered(spine, candidate, says):
    with pytest.raises(TypeError, match=says):
        spine.app.register_task(candidate)


def test_a_task_that_belongs_to_no_app_says_so_when_it_is_sent():
    with pytest.raises(ImproperlyConfigured, match=r"belongs to no app: app\.register_task"):
        Add().delay(1)


@pytest.mark.parametrize("how", ["class", "path", "decorator"])
def test_an_app_or_a_decorator_may_name_the_class_of_its_tasks(how):
    base = f"{__name__}:Add" if how == "path" else Add
    app = Celeriac("x", broker="memory://", set_as_current=False, task_cls=None if how == "decorator" else base)
    task = app.task(name="t", **({"base": Add} if how == "decorator" else {}))(function)
    assert isinstance(task, Task)
    assert type(task).__name__ == "Add"


def test_options_that_a_task_does_not_know_become_its_attributes(spine):
    task = spine.app.task(name="t", my_own="thing")(function)
    assert task.my_own == "thing"


def test_the_tasks_of_an_application_are_shown_by_name(spine):
    spine.app.task(name="my.name")(function)
    assert "my.name" in repr(spine.app.tasks)
