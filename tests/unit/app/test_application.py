"""The application as a whole: its parts, closing, forks, and classes that wrap every run."""

from __future__ import annotations

import threading

import pytest

from celeriac import Celeriac, Celery, Task
from celeriac.exceptions import ImproperlyConfigured
from tests.unit.forks import can_fork, holds_in_a_fork


def test_celery_is_another_name_for_it():
    assert Celery is Celeriac


@pytest.mark.parametrize(("wrong", "meant"), [("brokr", "broker"), ("backends", "backend"), ("includes", "include")])
def test_a_mistyped_argument_is_an_error_that_names_the_one_meant(wrong, meant):
    with pytest.raises(TypeError, match=f"no argument '{wrong}'. Did you mean '{meant}'"):
        Celeriac("mine", set_as_current=False, **{wrong: "redis://"})


def test_making_an_application_connects_to_nothing():
    app = Celeriac("x", broker="redis://127.0.0.1:1/0", set_as_current=False)
    app.task(lambda: None)
    assert "stores" not in vars(app)


def test_a_url_that_no_driver_serves_is_an_error_that_lists_those_that_are():
    app = Celeriac("x", broker="carrier-pigeon://coop", set_as_current=False)
    with pytest.raises(ImproperlyConfigured, match=r"'carrier-pigeon' URLs; known schemes: amqp, amqps, memory"):
        app.send_task("work")


def test_it_may_be_used_again_after_it_was_closed(spine):
    spine.app.send_task("one")
    spine.app.close()
    spine.app.send_task("two")
    assert len(spine.taken()) == 2


def test_as_a_context_manager_it_is_closed_at_the_end(make_spine):
    spine = make_spine()
    with spine.app as app:
        app.send_task("work")
        store = app.stores._broker_store
    assert store is not None
    assert spine.app.stores._broker_store is None


def test_without_a_backend_results_are_kept_by_the_broker_s_store(spine):
    assert spine.app.results is not None
    assert spine.app.results.location == spine.app.broker.location


def test_a_backend_may_be_a_store_of_its_own_or_none(make_spine):
    assert make_spine(backend="memory://elsewhere").app.results.location == "memory://elsewhere"
    assert make_spine(backend="disabled://").app.results is None


@pytest.mark.parametrize(("backend", "ttl"), [(None, 3600.0), ("memory://elsewhere", 86400.0)])
def test_results_live_an_hour_by_default_and_a_day_in_a_backend_of_their_own(make_spine, backend, ttl):
    assert make_spine(backend=backend).app.stores.result_ttl == ttl


def test_many_threads_may_send_at_once(spine):
    task = spine.app.task(name="work")(lambda n: n)
    errors = []

    def send(start: int) -> None:
        try:
            for n in range(50):
                task.delay(start + n)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(50 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(spine.taken()) == 400


@can_fork
def test_a_forked_child_opens_stores_of_its_own(spine):
    spine.app.send_task("parent")
    before = spine.app.broker
    assert holds_in_a_fork(lambda: spine.app.broker is not before)
    assert spine.app.broker is before


# -- classes that wrap every run ---------------------------------------------------------------------------------------


class Wrapping(Task):
    """Frameworks wrap every run like this, to have their context around it."""

    depth = 0

    def __call__(self, *args, **kwargs):
        type(self).depth += 1
        try:
            return super().__call__(*args, **kwargs)
        finally:
            type(self).depth -= 1


@pytest.mark.parametrize("base_calls_run", [True, False])
def test_a_class_may_wrap_every_run_and_the_request_stays(spine, base_calls_run):
    class Direct(Wrapping):
        def __call__(self, *args, **kwargs):
            type(self).depth += 1
            try:
                return self.run(*args, **kwargs)
            finally:
                type(self).depth -= 1

    @spine.app.task(base=Direct if base_calls_run else Wrapping, bind=True)
    def work(self, x):
        return [x, type(self).depth, self.request.id, self.request.called_directly]

    result = work.delay(5)
    spine.run()
    assert result.get() == [5, 1, result.id, False]
    assert work(6) == [6, 1, None, True]


def test_a_wrapped_task_that_calls_itself_makes_a_plain_call(spine):
    @spine.app.task(base=Wrapping, bind=True)
    def work(self, n):
        inner = work(n - 1) if n else []
        return [*inner, self.request.called_directly]

    result = work.delay(2)
    spine.run()
    assert result.get() == [True, True, False]


def test_a_wrapped_task_may_be_retried(spine):
    @spine.app.task(base=Wrapping, bind=True)
    def work(self):
        raise self.retry()

    work.delay()
    assert len(spine.run().follow_ups) == 1
