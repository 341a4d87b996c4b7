"""Names of lists, and topics, as kombu has them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.drivers import load
from celeriac.drivers.redis import scripts
from celeriac.drivers.redis.bindings import matches, table_entry
from celeriac.drivers.redis.keys import Keys
from celeriac.exceptions import ImproperlyConfigured
from celeriac.interfaces.store import StoreOptions
from celeriac.routing import QueueSpec

WORDS = st.lists(st.sampled_from(["a", "b", "task"]), min_size=1, max_size=5)
PATTERNS = st.lists(st.sampled_from(["a", "b", "task", "*", "#"]), min_size=1, max_size=5)


@pytest.mark.parametrize(("priority", "step"), [(None, 0), (0, 0), (2, 0), (3, 3), (5, 3), (8, 6), (9, 9), (12, 9)])
def test_a_priority_goes_to_the_step_below_it(priority: int | None, step: int) -> None:
    keys = Keys({"global_keyprefix": "p:"})
    name = keys.queue("q").lists[keys.step(priority)]
    assert name == ("p:q" if step == 0 else f"p:q\x06\x16{step}")


def test_steps_and_separator_may_be_the_users_own() -> None:
    keys = Keys({"priority_steps": range(10), "sep": ":"})
    assert keys.queue("q").lists[keys.step(7)] == "q:7"


@pytest.mark.parametrize("steps", [["high"], [-1], 5])
def test_steps_that_are_no_numbers_are_refused(steps: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="priority_steps"):
        Keys({"priority_steps": steps})


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("task.*", "task.sent", True),
        ("task.*", "task", False),
        ("task.*", "task.a.b", False),
        ("task.#", "task", True),
        ("#", "", True),
        ("#.b", "a.b", True),
        ("a.#.b.#", "a.x.b.y.z", True),
        ("a", "A", False),
    ],
)
def test_topics(pattern: str, key: str, fits: bool) -> None:
    assert matches(pattern, key) is fits


@given(PATTERNS, WORDS)
def test_topics_agree_with_a_regular_expression(pattern: list[str], words: list[str]) -> None:
    expression = "".join({"*": r"[^.]+\.", "#": r"(?:[^.]+\.)*"}.get(word, re.escape(word) + r"\.") for word in pattern)
    assert matches(".".join(pattern), ".".join(words)) == bool(re.fullmatch(expression, ".".join(words) + "."))


def test_a_queue_without_routing_key_is_bound_by_its_name() -> None:
    assert table_entry(QueueSpec("mail", exchange="post"), "|") == ("post", "mail||mail")


def test_every_script_says_what_it_takes_and_gives() -> None:
    found = [value for value in vars(scripts).values() if isinstance(value, scripts.Script)]
    assert len(found) > 10
    for script in found:
        head = (script.source.decode().rpartition("\n-- KEYS")[2]).partition("\nlocal")[0]
        assert all(word in head for word in ("ARGV", "Result:", "Atomic")), script


@pytest.mark.parametrize(
    "name",
    [
        "unacked",
        "unacked_index",
        "_kombu.binding.celery",
        "celeriac:queues",
        "celery-task-meta-5",
        "celery\x06\x163",
    ],
)
def test_a_queue_cannot_have_the_name_of_a_key_that_is_in_use(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be called"):
        Keys({}).queue(name)


def test_keys_that_were_given_other_names_are_kept_free_under_those() -> None:
    keys = Keys({"unacked_key": "held", "global_keyprefix": "p:"})
    assert keys.queue("unacked").lists[0] == "p:unacked"
    with pytest.raises(ImproperlyConfigured, match="'held'"):
        keys.queue("held")


@pytest.mark.parametrize("name", ["celery", "a:b", "celery\x06\x16high", "celery\x06\x165", "my celeriac:queue"])
def test_other_names_are_free(name: str) -> None:
    assert Keys({}).queue(name).lists[0] == name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "long"])
def test_a_visibility_timeout_that_cannot_be_is_refused(value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="visibility_timeout"):
        load("redis://localhost", StoreOptions(transport_options={"visibility_timeout": value}))


@pytest.mark.parametrize("name", ["socket_timeout", "socket_connect_timeout"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "long"])
def test_a_timeout_that_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        load("redis://localhost", StoreOptions(transport_options={name: value}))


@pytest.mark.parametrize("name", ["global_keyprefix", "sep", "unacked_key", "unacked_index_key"])
def test_a_name_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{name} must be text"):
        Keys({name: 5})


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="are both"):
        Keys({"unacked_key": "unacked_index"})
