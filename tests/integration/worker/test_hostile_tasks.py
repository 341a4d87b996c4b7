"""Tasks that end in ways that nobody planned. The worker records each end and goes on."""

from __future__ import annotations

import pytest

from tests.integration.worker.place import Place

WAIT = 10.0

UNWRITABLE = ["an object", "an endless list", "a deep list"]
ODD_ERRORS = [
    "an error with half a character",
    "an error with an object",
    "an error with an endless list",
    "an error whose text fails",
    "a base exception",
    "an interrupt",
    "an end of a generator",
    "a recursion",
    "no memory",
]

CURSED = """
from celeriac import Celery, Task

app = Celery("cursed")

def fail(*_args):
    raise SystemExit("out of the error")

class Meta(type):
    def __getattribute__(cls, name):
        return fail()

class OfMeta(Exception, metaclass=Meta):
    pass

class Unhashable(type):
    __hash__ = fail

class Clumsy(Task):
    def on_failure(self, exc, *args):
        raise exc

names = ["__traceback__", "__context__", "__cause__", "__notes__", "args", "__class__"]
errors = {name: type("Cursed", (Exception,), {name: property(fail)}) for name in names}
names = ["__str__", "__repr__", "__reduce__", "__reduce_ex__", "__getattribute__", "__bool__"]
errors |= {name: type("Cursed", (Exception,), {name: fail}) for name in names}
errors |= {"of a metaclass": OfMeta, "of an unhashable class": Unhashable("Cursed", (Exception,), {})}

@app.task
def kinds():
    return list(errors)

@app.task(base=Clumsy)
def work(name):
    raise errors[name]("said")

@app.task
async def awork(name):
    raise errors[name]("said")
"""
"""An application whose errors fail when they are told of."""


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_may_end_in_any_way_and_the_engine_goes_on(sqlite_place: Place, pool: str) -> None:
    worker = sqlite_place.worker("-P", pool, "-c", "1")
    results = {what: sqlite_place.send("give_back", what) for what in [*UNWRITABLE, *ODD_ERRORS]}
    engines = worker.engines()
    for what, result in results.items():
        error = result.get(timeout=WAIT, propagate=False)
        assert (result.state, isinstance(error, BaseException)) == ("FAILURE", True), what
    assert sqlite_place.send("add", 1, 1).get(timeout=WAIT) == 2
    sqlite_place.until_idle()
    assert worker.engines() == engines, "an engine was lost"
    assert sqlite_place.stats().dead == 0


def test_an_error_whose_class_fails_when_it_is_told_of_fails_its_task_alone(sqlite_place: Place) -> None:
    sqlite_place.write("cursed", CURSED)
    worker = sqlite_place.worker("-c", "1", app="cursed")
    engines = worker.engines()
    app = sqlite_place.app
    kinds = app.send_task("cursed.kinds").get(timeout=WAIT)
    for task in ("work", "awork"):
        for what, result in {what: app.send_task(f"cursed.{task}", (what,)) for what in kinds}.items():
            error = result.get(timeout=WAIT, propagate=False)
            assert (result.state, isinstance(error, BaseException)) == ("FAILURE", True), what
            if type(error).__name__ != "TaskError":  # of which it is told that it cannot be told of
                assert (type(error).__name__, error.args) in [("Cursed", ("said",)), ("OfMeta", ("said",))], what
                assert "in work" in result.traceback or "in awork" in result.traceback, what
    sqlite_place.until_idle()
    assert worker.engines() == engines, f"an engine was lost:\n{worker.log}"
    assert sqlite_place.stats().dead == 0


@pytest.mark.parametrize("task", ["araise", "acancelled"])
def test_a_coroutine_may_end_in_any_way_once(sqlite_place: Place, task: str) -> None:
    worker = sqlite_place.worker("-c", "1")
    engines = worker.engines()
    result = sqlite_place.send(task)
    assert isinstance(result.get(timeout=WAIT, propagate=False), BaseException)
    assert result.state == "FAILURE"
    sqlite_place.until_idle()
    assert worker.engines() == engines
    assert sqlite_place.ledger.count("cancelled") <= 1


@pytest.mark.parametrize("whom", ["itself", "all"])
@pytest.mark.parametrize(("how", "state"), [("wait", "FAILURE"), ("return", "SUCCESS")])
def test_a_coroutine_that_is_cancelled_by_a_task_runs_once(
    sqlite_place: Place, whom: str, how: str, state: str
) -> None:
    worker = sqlite_place.worker("-c", "1")
    result = sqlite_place.send("acancel", whom, how)
    result.get(timeout=WAIT, propagate=False)
    assert result.state == state
    sqlite_place.until_idle()
    assert sqlite_place.ledger.count("cancelled") == 1
    assert "lease" not in worker.log


@pytest.mark.parametrize("code", [0, 3])
def test_a_task_that_leaves_by_sys_exit_has_failed(place: Place, code: int) -> None:
    worker = place.worker("-c", "1")
    engines = worker.engines()
    result = place.send("leave", code)
    assert isinstance(result.get(timeout=WAIT, propagate=False), SystemExit)
    assert result.state == "FAILURE"
    assert place.send("add", 1, 1).get(timeout=WAIT) == 2
    assert worker.engines() == engines


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
@pytest.mark.parametrize("how", ["return", "raise", "exit", "await"])
def test_a_child_that_a_task_forks_does_not_go_on_as_an_engine(sqlite_place: Place, pool: str, how: str) -> None:
    sqlite_place.write(
        "forking",
        """
        import os
        import sys

        from celeriac import Celery

        app = Celery("forking")

        def fork(how):
            child = os.fork()
            if child == 0 and how == "raise":
                raise ValueError("in the child")
            if child == 0 and how == "exit":
                sys.exit(3)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else "the child's"

        @app.task
        def work(how):
            return fork(how)

        @app.task
        async def awork(how):
            return fork(how)
        """,
    )
    worker = sqlite_place.worker("-P", pool, "-c", "1", app="forking")
    task = "forking.awork" if how == "await" else "forking.work"
    assert sqlite_place.app.send_task(task, (how,)).get(timeout=WAIT) == (3 if how == "exit" else 1)
    assert ("os._exit()" in worker.log) == (how != "exit")
    assert "ended by itself" not in worker.log
    assert worker.terminate() == 0


@pytest.mark.parametrize(("pool", "task"), [("prefork", "close"), ("threads", "close"), ("prefork", "aclose")])
def test_an_engine_whose_file_descriptors_a_task_has_closed_is_replaced(
    sqlite_place: Place, pool: str, task: str
) -> None:
    sqlite_place.write(
        "closing",
        """
        import os

        from celeriac import Celery

        app = Celery("closing")

        @app.task
        def close():
            os.closerange(3, 4096)
            return os.getpid()

        @app.task
        async def aclose():
            return close()

        @app.task
        def pid():
            return os.getpid()
        """,
    )
    worker = sqlite_place.worker("-P", pool, "-c", "1", app="closing")
    first = sqlite_place.app.send_task(f"closing.{task}").get(timeout=WAIT)
    second = sqlite_place.app.send_task("closing.pid").get(timeout=WAIT)
    assert first != second
    assert "file descriptors of this engine were closed" in worker.log
    assert worker.terminate() == 0


def test_a_handler_that_fails_is_logged_and_changes_nothing(sqlite_place: Place) -> None:
    sqlite_place.write(
        "clumsy",
        """
        from celeriac import Celery, Task

        app = Celery("clumsy")

        class Clumsy(Task):
            def on_success(self, *args):
                raise SystemExit("out of on_success")

            def after_return(self, *args):
                raise ValueError("out of after_return")

        @app.task(base=Clumsy)
        def work():
            return "worked"
        """,
    )
    worker = sqlite_place.worker("-c", "1", app="clumsy")
    assert sqlite_place.app.send_task("clumsy.work").get(timeout=WAIT) == "worked"
    assert sqlite_place.app.send_task("clumsy.work").get(timeout=WAIT) == "worked"
    assert "its handler on_success failed" in worker.log
    assert "its handler after_return failed" in worker.log
    assert "ended by itself" not in worker.log


def test_what_a_task_prints_is_logged_with_its_name_and_id(place: Place) -> None:
    worker = place.worker("-c", "1", "--", "worker.log_format=<%(task_name)s %(task_id)s %(levelname)s> %(message)s")
    result = place.send("say", "hello out there")
    assert result.get(timeout=WAIT) == "hello out there"
    assert f"<shop.say {result.id} WARNING> hello out there" in worker.log.splitlines()


@pytest.mark.timeout(60)
def test_a_task_that_prints_100_000_lines_ends(place: Place) -> None:
    worker = place.worker("-c", "1")
    # Logging them takes 4 to 9 s of one core, more where other tests run beside.
    assert place.send("shout", 100_000).get(timeout=4 * WAIT) == 100_000
    assert worker.terminate() == 0


def test_a_million_characters_go_there_and_back(place: Place) -> None:
    place.worker("-c", "1")
    text = "ä" * 1_000_000
    assert place.send("size", text).get(timeout=WAIT) == 1_000_000
    assert place.app.send_task("shop.say_back", (text,), compression="gzip").get(timeout=WAIT) == text
