"""What is to follow a task and is larger than the store takes, or than the settings allow: who waits for it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from celeriac import chain, chord, group, signature
from celeriac.exceptions import ChordError, EncodeError, TaskError
from tests.integration.worker.place import Place
from tests.servers.missing import or_skip
from tests.servers.redis import RedisServer

WAIT = 10.0
FITS = (1 << 20) - 250
"""Characters of a result that Redis stores, and that is too large in a message, whose headers are longer."""
TOO_LARGE = 2_000_000


@pytest.fixture
def small_place(make_place: Callable[..., Place]) -> Iterator[Place]:
    """A place on a server that takes no value of more than a mebibyte, with a worker."""
    server = or_skip(lambda: RedisServer(options={"proto-max-bulk-len": "1mb"}).start(), "redis")
    place = make_place(server.url)
    place.worker("-c", "1")
    yield place
    place.leave()
    server.remove()


def sig(place: Place, name: str, *args: object, **options: object) -> object:
    return signature(f"shop.{name}", args, app=place.app, **options)


def test_the_last_of_a_chain_fails_when_the_next_is_given_too_much(small_place: Place) -> None:
    place = small_place
    whole = chain(sig(place, "bulky", FITS), sig(place, "size"), sig(place, "say_back")).apply_async()
    with pytest.raises(TaskError, match=r"what follows it could not be sent.*proto-max-bulk-len"):
        whole.get(timeout=WAIT)
    assert (whole.state, whole.parent.state) == ("FAILURE", "FAILURE")
    assert place.stats().dead == 1


def test_a_chord_fails_when_its_callback_is_given_too_much_and_its_members_do_not(small_place: Place) -> None:
    place = small_place
    whole = chord([sig(place, "bulky", FITS // 2) for _ in range(3)], sig(place, "say_back")).apply_async()
    with pytest.raises(ChordError, match=r"callback could not be sent.*proto-max-bulk-len"):
        whole.get(timeout=WAIT)
    assert [len(value) for value in whole.parent.get(timeout=WAIT)] == [FITS // 2] * 3
    place.until_idle()
    assert place.stats().dead == 0


def test_a_chord_fails_when_a_member_returns_too_much(small_place: Place) -> None:
    place = small_place
    whole = chord([sig(place, "bulky", 1), sig(place, "bulky", TOO_LARGE)], sig(place, "say_back")).apply_async()
    with pytest.raises(TaskError, match=r"what follows it could not be sent.*proto-max-bulk-len"):
        whole.get(timeout=WAIT)
    assert whole.state == "FAILURE"


def test_members_that_are_given_too_much_fail_with_what_follows_them(small_place: Place) -> None:
    place = small_place
    members = group(sig(place, "size"), sig(place, "size"))
    whole = chain(sig(place, "bulky", FITS), members).apply_async()
    with pytest.raises(TaskError, match="proto-max-bulk-len"):
        whole.get(timeout=WAIT)
    whole = chain(sig(place, "bulky", FITS), members, sig(place, "total")).apply_async()
    with pytest.raises(TaskError, match="proto-max-bulk-len"):
        whole.get(timeout=WAIT)


@pytest.mark.parametrize("task", ["retry_with", "replace_by"])
def test_who_waits_for_another_try_that_is_too_large_is_told(small_place: Place, task: str) -> None:
    place = small_place
    for whole in (place.send(task, 0, TOO_LARGE), chain(sig(place, task, 0, TOO_LARGE), sig(place, "size")).delay()):
        with pytest.raises(TaskError, match="proto-max-bulk-len"):
            whole.get(timeout=WAIT)


def test_who_waits_is_told_of_the_limit_of_our_own(sqlite_place: Place) -> None:
    place = sqlite_place
    place.worker("-c", "1", CELERIAC_TASK_MESSAGE_MAX_BYTES="5000")
    whole = chain(sig(place, "bulky", 9_000), sig(place, "size"), sig(place, "say_back")).apply_async()
    with pytest.raises(EncodeError, match="task_message_max_bytes"):
        whole.get(timeout=WAIT)
    whole = chord([sig(place, "bulky", 3_000) for _ in range(3)], sig(place, "say_back")).apply_async()
    with pytest.raises(ChordError, match="task_message_max_bytes"):
        whole.get(timeout=WAIT)
