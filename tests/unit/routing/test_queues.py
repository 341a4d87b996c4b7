"""Which queues an application has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from celeriac.exceptions import ImproperlyConfigured, QueueNotFound
from celeriac.routing import Binding, Exchange, Queue, Queues, QueueSpec
from celeriac.settings import Settings


def queues(**settings) -> Queues:
    return Queues(Settings(settings))


def test_without_task_queues_there_is_the_default_queue():
    assert list(queues()) == [QueueSpec("celery", "celery", "direct", "celery")]
    named = queues(task_default_queue="q", task_default_exchange="x", task_default_routing_key="k")
    assert list(named) == [QueueSpec("q", "x", "direct", "k")]


def test_what_a_queue_leaves_out_is_filled_in_from_the_defaults():
    made = queues(
        task_default_queue="dq",
        task_queues=[Queue("one"), Queue("two", Exchange("ex", "topic"), routing_key="a.#"), Queue("three", "e3")],
    )
    assert list(made) == [
        QueueSpec("one", "dq", "direct", "dq"),
        QueueSpec("two", "ex", "topic", "a.#"),
        QueueSpec("three", "e3", "direct", "dq"),
    ]


def test_queues_of_other_libraries_are_read_by_their_attributes():
    foreign = SimpleNamespace(
        name="q",
        exchange=SimpleNamespace(name="x", type="topic"),
        routing_key="k",
        queue_arguments={"x-queue-mode": "lazy"},
        durable=False,
        exclusive=True,
        auto_delete=True,
        expires=1.5,
        message_ttl=2,
        max_length=10,
        max_priority=5,
        bindings=None,
    )
    arguments = {
        "x-queue-mode": "lazy",
        "x-expires": 1500,
        "x-message-ttl": 2000,
        "x-max-length": 10,
        "x-max-priority": 5,
    }
    expected = QueueSpec("q", "x", "topic", "k", durable=False, exclusive=True, auto_delete=True, arguments=arguments)
    assert list(queues(task_queues=[foreign])) == [expected]


def test_a_queue_may_have_several_bindings():
    bindings = [SimpleNamespace(exchange=Exchange("x", "topic"), routing_key=key) for key in ("a", "b")]
    (spec,) = queues(task_queues=[Queue("q", bindings=bindings)])
    assert spec == QueueSpec("q", "x", "topic", "a", bindings=(Binding("x", "topic", "b"),))


def test_queues_may_be_a_mapping_or_names():
    made = queues(task_queues={"q": {"exchange": "x", "exchange_type": "topic", "binding_key": "k"}, "r": None})
    assert list(made) == [QueueSpec("q", "x", "topic", "k"), QueueSpec("r", "r", "direct", "r")]
    assert list(queues(task_queues=["q"])) == [QueueSpec("q", "q", "direct", "q")]


@pytest.mark.parametrize("wrong", [[3], [Queue()], {"q": 3}, [None]])
def test_what_is_no_queue_is_an_error(wrong):
    with pytest.raises(ImproperlyConfigured, match="task_queues"):
        queues(task_queues=wrong)


@pytest.mark.parametrize("wrong", [{"task_default_queue": ""}, {"task_queues": [""]}, {"task_queues": {"": None}}])
def test_a_queue_without_a_name_is_an_error(wrong):
    with pytest.raises(ImproperlyConfigured, match="cannot be empty"):
        queues(**wrong)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
@pytest.mark.parametrize("setting", ["task_default_queue", "task_queues"])
def test_a_name_that_nobody_could_send_to_is_an_error(setting, name):
    with pytest.raises(ImproperlyConfigured, match="valid text"):
        queues(**{setting: [name] if setting == "task_queues" else name})


def test_a_highest_priority_is_given_to_queues_that_name_none():
    made = queues(task_queue_max_priority=10, task_queues=[Queue("a"), Queue("b", max_priority=3)])
    assert [spec.arguments for spec in made] == [{"x-max-priority": 10}, {"x-max-priority": 3}]
    assert made.get("new").arguments == {"x-max-priority": 10}


def test_types_of_queues_are_arguments():
    assert queues(task_default_queue_type="quorum").get("celery").arguments == {"x-queue-type": "quorum"}
    made = queues(task_create_missing_queue_type="quorum", task_create_missing_queue_exchange_type="topic")
    assert made.get("new") == QueueSpec("new", "new", "topic", "new", arguments={"x-queue-type": "quorum"})


def test_a_missing_queue_is_made_once():
    made = queues()
    assert made.get("new") is made.get("new")
    assert "new" in made


def test_a_missing_queue_is_an_error_that_names_the_known_ones_when_none_may_be_made():
    made = queues(task_create_missing_queues=False, task_queues=[Queue("a"), Queue("b")])
    with pytest.raises(QueueNotFound, match=r"'c' is not in task_queues.*known queues: a, b"):
        made.get("c")


def test_a_worker_consumes_what_is_configured_and_not_what_was_made_for_sending():
    made = queues(task_queues=[Queue("a"), Queue("b")])
    made.get("new")
    assert [spec.name for spec in made.select()] == ["a", "b"]
    assert [spec.name for spec in made.select(exclude=["a"])] == ["b"]
    assert [spec.name for spec in made.select(["b", "c", "b"])] == ["b", "c"]


def test_a_worker_with_nothing_to_consume_is_an_error():
    with pytest.raises(ImproperlyConfigured, match="No queue is left"):
        queues().select(exclude=["celery"])
