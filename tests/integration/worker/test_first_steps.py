"""What a stranger does first, with nothing but the README."""

from __future__ import annotations

import re

import pytest

from tests.integration.worker.place import ROOT, Place


def python_of_readme() -> str:
    """Return the first example of the README."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    example: str = next(block for block in blocks if "@app.task" in block)
    return example


def test_the_first_example_of_the_readme_typed_into_a_file_works(sqlite_place: Place) -> None:
    sqlite_place.write("tasks", python_of_readme())
    worker = sqlite_place.worker(app="tasks")
    printed = sqlite_place.run(
        """
        from tasks import add
        result = add.delay(4, 5)
        print(result.get(timeout=10))
        """
    )
    assert printed == "9\n"
    assert str(sqlite_place.directory / "celeriac.db") in worker.log


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_the_value_comes_back_with_no_backend_configured(place: Place, pool: str) -> None:
    place.worker("-P", pool, "-c", "2")
    results = place.send_many("add", [(number, 1) for number in range(20)])
    assert [result.get(timeout=10) for result in results] == list(range(1, 21))
    place.until_idle()


def test_engines_that_are_spawned_work_as_forked_ones_do(place: Place) -> None:
    worker = place.worker("-c", "2", "--", "worker.pool_start_method=spawn")
    results = place.send_many("add", [(number, 1) for number in range(20)])
    assert [result.get(timeout=10) for result in results] == list(range(1, 21))
    assert "has no effect" not in worker.log
    assert worker.terminate() == 0, worker.log


def test_a_worker_started_after_the_call_finds_the_task(place: Place) -> None:
    result = place.send("add", 20, 22)
    place.worker("-c", "1")
    assert result.get(timeout=10) == 42


def test_tasks_of_several_classes_and_ways_of_making_run_in_one_worker(sqlite_place: Place) -> None:
    sqlite_place.write(
        "kinds",
        """
        from celeriac import Celery, Task, shared_task

        app = Celery("kinds")

        class Doubling(Task):
            name = "kinds.doubling"
            def run(self, number):
                return number * 2

        app.register_task(Doubling())

        @shared_task
        def shared(number):
            return number * 3

        @app.task(name="a name of its own")
        def named(number):
            return number * 4

        class Base(Task):
            factor = 5

        @app.task(bind=True, base=Base)
        def based(self, number):
            return number * self.factor
        """,
    )
    sqlite_place.worker("-c", "1", app="kinds")
    names = ["kinds.doubling", "kinds.shared", "a name of its own", "kinds.based"]
    results = [sqlite_place.app.send_task(name, (1,)) for name in names]
    assert [result.get(timeout=10) for result in results] == [2, 3, 4, 5]
