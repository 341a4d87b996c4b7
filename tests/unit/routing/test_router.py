"""Which queue a task goes to."""

from __future__ import annotations

import fnmatch
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured, QueueNotFound
from celeriac.routing import Exchange, Queue, Route, Router
from celeriac.routing.router import binding_matches
from celeriac.settings import Settings

TOPIC = [
    Queue("feeds", Exchange("news", "topic"), "feed.#"),
    Queue("images", Exchange("media", "direct"), "image"),
    Queue("everything", Exchange("all", "fanout")),
]


def router(**settings) -> Router:
    return Router(Settings(settings))


def direct(queue: str) -> Route:
    return Route(queue, "", queue)


def test_a_task_without_a_route_goes_to_the_default_queue():
    assert router().route("t").route == direct("celery")
    assert router(task_default_queue="mine").route("t").route == direct("mine")


@pytest.mark.parametrize(
    "routes",
    [
        {"a.b": "q"},
        {"a.*": "q"},
        {"a.*": {"queue": "q"}},
        {re.compile(r"a\.[bc]"): "q"},
        [("a.*", "q"), ("a.b", "late")],
        [("x", "y"), ("a.*", {"queue": "q"})],
        ([("a.*", "q")],),
        [{"x": "y"}, {"a.b": "q"}],
        lambda name, args, kwargs, options, task=None, **more: {"queue": "q"},
        [lambda *_, **__: None, lambda *_, **__: "q"],
        SimpleNamespace(route_for_task=lambda name, args=None, kwargs=None: {"queue": "q"}),
    ],
)
def test_a_route_may_be_written_in_many_ways(routes):
    assert router(task_routes=routes).route("a.b").route == direct("q")


def test_an_exact_name_comes_before_a_pattern():
    assert router(task_routes={"a.*": "pattern", "a.b": "exact"}).route("a.b").route == direct("exact")


def test_routes_are_asked_in_order():
    assert router(task_routes=[{"a.*": "first"}, {"a.b": "second"}]).route("a.b").route == direct("first")


def test_a_class_and_a_path_to_one_are_asked(monkeypatch):
    class MyRouter:
        def route_for_task(self, name, args=None, kwargs=None):
            return {"queue": args[0]} if name == "t" else None

    module = ModuleType("routes_for_a_test")
    module.MyRouter = MyRouter
    module.table = {"t": "from-table"}
    monkeypatch.setitem(sys.modules, "routes_for_a_test", module)
    for routes in (MyRouter, "routes_for_a_test.MyRouter", ["routes_for_a_test:MyRouter"]):
        asked = router(task_routes=routes)
        assert asked.route("t", ("chosen",)).route == direct("chosen")
        assert asked.route("other").route == direct("celery")
    assert router(task_routes="routes_for_a_test:table").route("t").route == direct("from-table")


def test_a_path_that_cannot_be_imported_is_an_error_that_names_it():
    with pytest.raises(ImproperlyConfigured, match=r"no_such\.router"):
        router(task_routes="no_such.router").route("t")


@pytest.mark.parametrize("routes", [3, [3], {"a": 3}, [[("a", "b", "c")]], {3: "q"}, lambda *_, **__: 3])
def test_routes_that_make_no_sense_are_an_error(routes):
    with pytest.raises(ImproperlyConfigured, match="rout"):
        router(task_routes=routes).route("a")


def test_a_function_is_given_the_whole_call():
    seen = []
    task = object()
    made = router(task_routes=lambda *args, **more: seen.append((args, more)))
    made.route("t", (1,), {"k": 2}, {"priority": 3, "queue": None}, task=task)
    assert seen == [(("t", (1,), {"k": 2}, {"priority": 3}), {"task": task})]


def test_options_of_the_call_win_unless_they_are_none():
    made = router(task_routes={"t": {"queue": "q", "priority": 5, "serializer": "yaml"}})
    routed = made.route("t", options={"priority": 0, "serializer": None, "countdown": 3})
    assert routed.route == direct("q")
    assert routed.options == {"priority": 0, "serializer": "yaml", "countdown": 3}


def test_a_queue_of_the_call_replaces_the_routes_destination_and_keeps_its_other_options():
    made = router(task_routes={"t": {"exchange": "media", "routing_key": "image", "priority": 5}}, task_queues=TOPIC)
    routed = made.route("t", options={"queue": "mine"})
    assert (routed.route, routed.options) == (direct("mine"), {"priority": 5})


def test_a_queue_may_be_given_as_an_object():
    made = router()
    assert made.route("t", options={"queue": Queue("mine")}).route == direct("mine")
    assert made.route("t", options={"queue": Queue("f", Exchange("x", "topic"), "k.#")}).route == Route("f", "x", "k.#")
    assert "mine" in made.queues


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exchange": "news", "routing_key": "feed.sport.chess"}, Route("feeds", "news", "feed.sport.chess")),
        ({"exchange": Exchange("media"), "routing_key": "image"}, Route("images", "media", "image")),
        ({"exchange": "media"}, Route("images", "media", "image")),
        ({"exchange": "all", "routing_key": "any"}, Route("everything", "all", "any")),
        ({"exchange": "", "routing_key": "named"}, Route("named", "", "named")),
        ({"queue": "feeds", "routing_key": "feed.x"}, Route("feeds", "news", "feed.x")),
        ({"queue": "feeds"}, Route("feeds", "news", "feed.#")),
        ({"queue": "images"}, direct("images")),
        ({"queue": "images", "exchange": "media", "routing_key": "k"}, Route("images", "media", "k")),
        ({"exchange": "elsewhere", "routing_key": "k"}, Route("celery", "elsewhere", "k")),
    ],
)
def test_exchange_and_routing_key_find_the_queue_that_is_bound(options, expected):
    assert router(task_queues=TOPIC).route("t", options=options).route == expected


def test_a_routing_key_alone_goes_by_the_bindings_of_a_default_topic_exchange():
    made = router(
        task_queues=[Queue("default", routing_key="task.#"), Queue("feeds", routing_key="feed.#")],
        task_default_queue="default",
        task_default_exchange="tasks",
        task_default_exchange_type="topic",
        task_default_routing_key="task.default",
    )
    assert made.route("t", options={"routing_key": "feed.x"}).route == Route("feeds", "tasks", "feed.x")
    assert made.route("t").route == Route("default", "tasks", "task.#")


def test_a_key_that_no_queue_of_the_exchange_takes_is_an_error_that_names_the_bindings():
    with pytest.raises(QueueNotFound, match=r"feed\.#.*feeds"):
        router(task_queues=TOPIC).route("t", options={"exchange": "news", "routing_key": "weather"})


def test_plain_calls_are_decided_once_and_functions_are_always_asked():
    static = router(task_routes={"t": "q"})
    assert static.is_static
    assert static.route("t") is static.route("t")
    answers = iter(["one", "two"])
    asking = router(task_routes=lambda *_, **__: next(answers))
    assert not asking.is_static
    assert [asking.route("t").route.queue for _ in range(2)] == ["one", "two"]


WORDS = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5)
KEYS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6)


@given(WORDS, KEYS)
def test_topic_patterns_match_as_the_regular_expression_that_they_stand_for(pattern, key):
    text = "".join(
        {"#": r"(?:\w+\.)*", "*": r"\w+\."}.get(word, word + r"\.") for word in pattern
    )  # each word with the dot behind it
    expected = re.fullmatch(text, ".".join(key) + ".") is not None
    assert binding_matches("topic", ".".join(pattern), ".".join(key)) is expected


NAMES = st.text("ab.", min_size=1, max_size=6)


@given(st.dictionaries(st.text("ab.*", min_size=1, max_size=6), st.sampled_from(["q", "r"]), max_size=5), NAMES)
def test_a_table_gives_the_exact_name_or_the_first_pattern_that_fits(table, name):
    fitting = [queue for pattern, queue in table.items() if "*" in pattern and fnmatch.fnmatchcase(name, pattern)]
    expected = table.get(name) or (fitting[0] if fitting else "celery")
    assert router(task_routes=table).route(name).route == direct(expected)


OPTIONS = st.dictionaries(
    st.sampled_from(["queue", "routing_key", "priority", "serializer", "expires"]),
    st.one_of(st.none(), st.sampled_from(["x", "y"])),
)


@given(OPTIONS, OPTIONS)
def test_what_the_call_says_holds_and_what_it_leaves_open_is_the_routes(of_call, of_route):
    routed = router(task_routes={"t": of_route}).route("t", options=of_call)
    for key in ("priority", "serializer", "expires"):
        said = of_call.get(key) if of_call.get(key) is not None else of_route.get(key)
        assert routed.options.get(key) == said
    assert routed.route.queue == (of_call.get("queue") or of_route.get("queue") or "celery")
    assert routed.options.keys().isdisjoint({"queue", "routing_key"})
