"""Tasks of a library, and which application is current."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from celeriac import Celeriac, Task, current_app, current_task, shared_task
from celeriac.app import ambient
from celeriac.app import shared as registry
from celeriac.current import get_current_app, get_current_task
from celeriac.exceptions import ImproperlyConfigured
from tests.unit.spine import Spine


@pytest.fixture(autouse=True)
def _nothing_current() -> Iterator[None]:
    """Let each test begin with no current application, and leave no shared task behind."""
    last, shared = list(ambient._last_made), dict(registry._shared)
    ambient._last_made.clear()
    yield
    ambient._last_made[:] = last
    registry._shared.clear()
    registry._shared.update(shared)


@pytest.fixture
def shared() -> Task[..., tuple[str, str]]:
    @shared_task(name=f"library.{uuid.uuid4().hex}", bind=True)
    def task(self: Task[..., object]) -> tuple[str, str]:
        return (self.app.main, self.request.id)

    return task


def test_without_an_application_it_cannot_be_sent(shared):
    with pytest.raises(ImproperlyConfigured, match="There is no application yet"):
        shared.delay()


def test_it_goes_through_the_application_that_is_current(make_spine, shared):
    first, second = make_spine(main="first"), make_spine(main="second")
    for spine in (first, second, first):
        spine.app.set_default()
        result = shared.delay()
        assert spine.run() is not None
        assert result.get() == [spine.app.main, result.id]


def test_every_application_has_a_copy_of_its_own(make_spine, shared):
    first, second = make_spine(), make_spine()
    assert first.app.tasks[shared.name] is not second.app.tasks[shared.name]
    assert first.app.tasks[shared.name].app is first.app
    assert first.app.tasks[shared.name] is first.app.tasks[shared.name]


def test_an_application_s_own_task_of_that_name_wins(spine, shared):
    own = spine.app.task(name=shared.name)(lambda: "own")
    assert spine.app.tasks[shared.name] is own


def test_what_an_application_says_of_it_counts_for_that_application_alone(make_spine, shared):
    first = make_spine(task_annotations={shared.name: {"queue": "apart"}})
    second = make_spine()
    for spine, queue in ((first, "apart"), (second, "celery")):
        spine.app.finalize()
        spine.app.set_default()
        shared.delay()
        assert len(spine.taken(queue)) == 1


def test_a_library_that_is_imported_late_is_known_all_the_same(spine):
    spine.app.send_task("anything")
    late = shared_task(name=f"late.{uuid.uuid4().hex}")(lambda: None)
    assert late.name in spine.app.tasks


# -- the current application ------------------------------------------------------------------------------------------


def test_the_last_application_made_is_current():
    Celeriac("one", broker="memory://")
    two = Celeriac("two", broker="memory://")
    Celeriac("hidden", broker="memory://", set_as_current=False)
    assert get_current_app() is two
    assert current_app.main == "two"
    assert repr(current_app) == "<Celeriac two>"


def test_a_thread_may_choose_its_own(make_spine):
    first, second = make_spine().app, make_spine().app
    first.set_default()
    seen = []

    def choose() -> None:
        second.set_current()
        seen.append(get_current_app())

    thread = threading.Thread(target=choose)
    thread.start()
    thread.join()
    assert seen == [second]
    assert get_current_app() is first


def test_the_current_task_is_the_one_that_runs_here(spine: Spine):
    spine.app.set_default()
    seen = []

    @spine.app.task(name="looks")
    def looks() -> None:
        seen.extend([bool(current_task), current_task.name, get_current_task()])

    assert not current_task
    assert get_current_task() is None
    looks.delay()
    spine.run()
    assert seen == [True, "looks", looks]


def test_it_runs_in_the_caller_where_the_current_application_says_so(make_spine, shared):
    eager = make_spine(main="eager", task_always_eager=True)
    eager.app.set_default()
    result = shared.delay()
    assert result.get() == ("eager", result.id)
