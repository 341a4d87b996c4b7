"""What Celery has and celeriac lacks is told in words, where it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from celeriac import Celeriac, Task
from celeriac.app.context import Context
from celeriac.app.error_info import ErrorInfo
from celeriac.exceptions import ContentDisallowed, ImproperlyConfigured
from celeriac.serialization import register, unregister
from celeriac.wire.content import accepted, dumps, loads
from celeriac.wire.tasks import TaskCall


@pytest.fixture
def app() -> Celeriac:
    return Celeriac("lacking", broker="memory://lacking", set_as_current=False)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("add_periodic_task", "celery beat"),
        ("on_after_configure", "module that makes the application"),
        ("connection_for_write", "app.send_task"),
        ("backend", "app.AsyncResult"),
        ("worker_main", "celeriac -A module worker"),
        ("select_queues", "task_routes"),
        ("bugreport", "celeriac report"),
    ],
)
def test_an_attribute_of_celerys_application_says_what_to_do_instead(app, name, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(app, name)
    assert not hasattr(app, name)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("inspect", "celeriac health"), ("ping", "celeriac health"), ("purge", "celeriac purge"), ("shutdown", "SIGTERM")],
)
def test_an_attribute_of_celerys_control_says_what_to_do_instead(app, name, instead):
    with pytest.raises(AttributeError, match=f"'{name}' of app.control of Celery's is not in celeriac: .*{instead}"):
        getattr(app.control, name)
    assert not hasattr(app.control, name)


def test_an_unknown_attribute_is_told_in_pythons_words(app):
    with pytest.raises(AttributeError, match="'Celeriac' object has no attribute 'nothing_of_the_kind'"):
        _ = app.nothing_of_the_kind


def test_an_attribute_error_inside_a_property_is_not_hidden():
    class Broken(Celeriac):
        @property
        def backend(self) -> Any:
            raise AttributeError("from inside")

    with pytest.raises(AttributeError, match="from inside"):
        _ = Broken("broken", set_as_current=False).backend


@pytest.mark.parametrize("name", ["delay_on_commit", "apply_async_on_commit"])
def test_sending_on_commit_says_how_django_does_it(app, name):
    task = app.task(print, name="said")
    with pytest.raises(AttributeError, match=r"transaction\.on_commit"):
        getattr(task, name)


def test_importing_schedules_says_what_to_do_instead():
    with pytest.raises(ModuleNotFoundError, match="no periodic tasks"):
        importlib.import_module("celeriac.schedules")


def test_looking_through_djangos_applications_says_how_to_name_them(app):
    with pytest.raises(TypeError, match="get_app_configs"):
        app.autodiscover_tasks()


@pytest.mark.parametrize("name", ["loader", "fixups", "autofinalize", "amqp", "control", "events", "log", "tasks"])
def test_an_argument_that_only_celerys_application_takes_is_refused(name):
    with pytest.raises(TypeError, match=f"'{name}' is an argument of Celery's"):
        Celeriac("x", set_as_current=False, **{name: None})


@pytest.mark.parametrize("text", ["ab", b"ab"])
def test_text_instead_of_a_list_of_arguments_is_refused(app, text):
    @app.task(typing=False)
    def add(x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(TypeError, match="is no list or tuple"):
        add.apply_async(text)
    with pytest.raises(TypeError, match="is no list or tuple"):
        app.send_task(add.name, text)


def test_the_class_of_an_applications_tasks_can_be_set(app):
    class Base(Task[..., Any]):
        kind = "mine"

    app.Task = Base

    @app.task
    def function() -> None: ...

    assert app.Task is Base
    assert function.kind == "mine"
    with pytest.raises(TypeError, match=r"derives from celeriac\.Task"):
        app.Task = int


def test_handlers_get_what_logging_takes_as_exc_info():
    try:
        raise ValueError("boom")
    except ValueError as error:
        info = ErrorInfo(error, "text")
        assert info.exc_info == sys.exc_info()


def test_the_request_shows_its_arguments_though_the_message_does_not():
    request = Context(TaskCall(name="t", id="x", args=(1, "a"), kwargs={"k": 2}))
    assert (request.argsrepr, request.kwargsrepr) == ("(1, 'a')", "{'k': 2}")
    told = Context(TaskCall(name="t", id="x", args=(1,), kwargs={}, argsrepr="secret", kwargsrepr="none"))
    assert (told.argsrepr, told.kwargsrepr) == ("secret", "none")


def test_a_serializer_of_ones_own_comes_and_goes():
    register("shout", lambda value: str(value).upper(), lambda body: body.decode().lower(), "application/x-shout")
    try:
        written = dumps("hello", "shout")
        assert written.body == b"HELLO"
        accept = accepted(["shout"])
        assert loads(written.body, written.content_type, written.content_encoding, accept=accept) == "hello"
    finally:
        unregister("shout")
    with pytest.raises(ImproperlyConfigured, match="unknown serializer 'shout'"):
        accepted(["shout"])
    with pytest.raises(ContentDisallowed):
        loads(written.body, written.content_type, written.content_encoding, accept=accepted(["json"]))
    with pytest.raises(ImproperlyConfigured, match="unknown serializer 'shout'"):
        unregister("shout")
