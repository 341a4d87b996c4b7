"""The suite of the dead-letter contract: what was rejected can be seen, given back and removed, each letter once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.interfaces.broker import Broker, Outgoing, Route
from celeriac.interfaces.dead_letters import DeadLetter, DeadLetters
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.case import Case
from celeriac.testing.conformance.samples import (
    DEADLINE,
    QUEUE,
    drain,
    in_thread,
    lapse,
    leases,
    levels,
    message,
    name,
    names,
    outgoing,
    receive,
    send,
)
from celeriac.wire.message import Message, Unreadable

UNREADABLE = (b"\x00\xff not json", b"{}", b"[]", b"", b'{"body": 1, "headers": 7}', b"[0,1]\n[2]\n")


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> DeadLetters:
    """A second client of the same store."""
    dead_letters = reopen().dead_letters
    assert dead_letters is not None
    return dead_letters


def bury(broker: Broker, *these: int | str, queue: str = QUEUE, reason: str = "poison") -> None:
    """Send messages, and reject them one after the other."""
    for each in these:
        send(broker, each, queue=queue)
        (delivery,) = receive(broker, queue)
        assert list(broker.reject([delivery.lease], reason=reason)) == []


def named(letters: Iterable[DeadLetter]) -> list[object]:
    """Return what the letters' messages were named."""
    return [letter.message.headers["n"] for letter in letters if isinstance(letter.message, Message)]


def all_of(dead_letters: DeadLetters, queue: str = QUEUE, *, limit: int = 3) -> list[DeadLetter]:
    """Read all letters of a queue, page by page."""
    found: list[DeadLetter] = []
    while True:
        page = dead_letters.page(queue, limit=limit, after=found[-1].id if found else None)
        found += page
        if len(page) < limit:
            return found


def ids(letters: Iterable[DeadLetter]) -> list[str]:
    return [letter.id for letter in letters]


def test_a_rejected_message_is_a_letter_with_queue_moment_and_reason(
    broker: Broker, dead_letters: DeadLetters, clock: FakeClock
) -> None:
    send(broker, "poison")
    (delivery,) = receive(broker)
    clock.advance(7)
    reason = 'It says "no",\nand [why]: 日本'
    broker.reject([delivery.lease], reason=reason)
    (letter,) = dead_letters.page(QUEUE, limit=10)
    assert (letter.queue, letter.reason, letter.message) == (QUEUE, reason, message("poison"))
    assert letter.died == pytest.approx(clock.now(), abs=1.0)
    assert letter.redelivered is False
    assert letter.id


def test_a_store_without_dead_letters_has_none(dead_letters: DeadLetters) -> None:
    assert list(dead_letters.queues()) == []
    assert list(dead_letters.page("never-seen", limit=10)) == []
    assert dict(dead_letters.fetch(["1", "x", "", f"{QUEUE}:1"])) == {}
    assert list(dead_letters.requeue(["1", "x", ""])) == ["1", "x", ""]
    assert list(dead_letters.remove(["1", "x", ""])) == ["1", "x", ""]
    assert dead_letters.purge("never-seen") == 0
    assert (list(dead_letters.requeue([])), list(dead_letters.remove([])), dict(dead_letters.fetch([]))) == ([], [], {})


def test_pages_go_from_the_newest_to_the_oldest_and_miss_none(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, *range(7))
    bury(broker, "other", queue="other")
    assert named(dead_letters.page(QUEUE, limit=3)) == [6, 5, 4]
    assert named(all_of(dead_letters)) == [6, 5, 4, 3, 2, 1, 0]
    assert named(all_of(dead_letters, limit=7)) == [6, 5, 4, 3, 2, 1, 0]
    assert named(all_of(dead_letters, "other")) == ["other"]


def test_messages_rejected_together_are_letters_in_their_order(broker: Broker, dead_letters: DeadLetters) -> None:
    send(broker, *range(12))
    broker.reject(leases(receive(broker)), reason="all of them")
    assert named(all_of(dead_letters)) == list(range(11, -1, -1))


def test_a_page_goes_on_after_a_letter_that_is_gone_and_whatever_dies_meanwhile(
    broker: Broker, dead_letters: DeadLetters
) -> None:
    bury(broker, *range(5))
    first = dead_letters.page(QUEUE, limit=2)
    bury(broker, "new")
    dead_letters.remove(ids(first))
    assert named(dead_letters.page(QUEUE, limit=10, after=first[-1].id)) == [2, 1, 0]


def test_queues_with_dead_letters_are_named(broker: Broker, dead_letters: DeadLetters, peer: DeadLetters) -> None:
    bury(broker, 1, queue="z")
    bury(broker, 2, queue="a")
    assert list(peer.queues()) == ["a", "z"]
    dead_letters.remove(ids(dead_letters.page("z", limit=1)))
    assert list(peer.queues()) == ["a"]


def test_letters_are_fetched_by_id(broker: Broker, dead_letters: DeadLetters, peer: DeadLetters) -> None:
    bury(broker, "first", "second")
    bury(broker, "third", queue="a: b'c\"日")
    letters = [*all_of(dead_letters), *all_of(dead_letters, "a: b'c\"日")]
    assert dict(peer.fetch([*ids(letters), "nobody"])) == {letter.id: letter for letter in letters}


def test_a_letter_given_back_is_ready_at_the_end_of_the_line(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, "first", "second")
    send(broker, "waiting")
    second, first = dead_letters.page(QUEUE, limit=2)
    assert list(dead_letters.requeue([first.id, second.id])) == []
    stats = broker.stats([QUEUE])[QUEUE]
    assert (stats.ready, stats.dead) == (3, 0)
    assert drain(broker) == ["waiting", "first", "second"]
    assert list(dead_letters.queues()) == []


def test_a_letter_given_back_is_the_message_that_was_sent(broker: Broker, dead_letters: DeadLetters) -> None:
    priority = levels(broker)[0]
    sent = Message({"id": "i", "task": "t", "eta": None, "n": [1.5, "日"]}, b"\x00\xff", "application/x", "binary")
    broker.send([Outgoing(route=Route(queue=QUEUE), message=sent, priority=priority)])
    (delivery,) = receive(broker)
    broker.reject([delivery.lease], reason="no")
    dead_letters.requeue(ids(dead_letters.page(QUEUE, limit=1)))
    (again,) = receive(broker)
    assert (again.message, again.priority) == (sent, delivery.priority)
    assert again.lease != delivery.lease


def test_a_letter_given_back_keeps_its_priority(broker: Broker, dead_letters: DeadLetters) -> None:
    most, least = levels(broker)[0], levels(broker)[-1]
    broker.send([outgoing("urgent", priority=most)])
    broker.reject(leases(receive(broker)), reason="no")
    broker.send([outgoing("calm", priority=least)])
    dead_letters.requeue(ids(dead_letters.page(QUEUE, limit=1)))
    expected = ["urgent", "calm"] if broker.capabilities.priorities > 1 else ["calm", "urgent"]
    assert drain(broker) == expected


def test_a_letter_says_that_a_holder_died_and_starts_anew_when_given_back(
    broker: Broker, dead_letters: DeadLetters, reopen: Callable[[], Store], clock: FakeClock
) -> None:
    holder = reopen().broker
    assert holder is not None
    send(broker, "crashing")
    receive(holder)
    lapse(holder, broker, clock)
    (again,) = receive(broker)
    assert again.redelivered is True
    broker.reject([again.lease], reason="too many crashes")
    (letter,) = dead_letters.page(QUEUE, limit=1)
    assert (letter.redelivered, letter.message) == (True, message("crashing"))
    dead_letters.requeue([letter.id])
    (fresh,) = receive(broker)
    assert (fresh.redelivered, fresh.message) == (False, message("crashing"))


def test_a_message_that_dies_again_is_another_letter(
    broker: Broker, dead_letters: DeadLetters, clock: FakeClock
) -> None:
    bury(broker, "poison", reason="first")
    (before,) = dead_letters.page(QUEUE, limit=10)
    dead_letters.requeue([before.id])
    clock.advance(5)
    broker.reject(leases(receive(broker)), reason="second")
    (after,) = dead_letters.page(QUEUE, limit=10)
    assert after.id != before.id
    assert after.reason == "second"
    assert after.died - before.died == pytest.approx(5, abs=1.0)
    assert list(dead_letters.requeue([before.id])) == [before.id]


def test_ids_that_are_not_there_are_named_and_the_others_given_back(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, *range(3))
    letters = dead_letters.page(QUEUE, limit=3)
    dead_letters.remove([letters[1].id])
    assert list(dead_letters.requeue(["nobody", *ids(letters)])) == ["nobody", letters[1].id]
    assert sorted(drain(broker)) == [0, 2]


def test_an_id_given_twice_counts_once(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, 1, 2)
    two, one = dead_letters.page(QUEUE, limit=2)
    assert list(dead_letters.requeue([one.id, one.id])) == []
    assert list(dead_letters.remove([two.id, two.id])) == []
    assert drain(broker) == [1]


def test_removed_letters_are_gone(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, *range(3))
    newest = dead_letters.page(QUEUE, limit=1)
    assert list(dead_letters.remove([*ids(newest), "nobody"])) == ["nobody"]
    assert named(all_of(dead_letters)) == [1, 0]
    assert broker.stats([QUEUE])[QUEUE].dead == 2
    assert list(dead_letters.remove(ids(newest))) == ids(newest)


def test_a_queue_is_purged_of_its_letters_alone(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, *range(3))
    bury(broker, "other", queue="other")
    send(broker, "alive")
    assert dead_letters.purge(QUEUE) == 3
    assert dead_letters.purge(QUEUE) == 0
    assert named(all_of(dead_letters, "other")) == ["other"]
    assert drain(broker) == ["alive"]


def test_letters_older_than_a_moment_are_purged(broker: Broker, dead_letters: DeadLetters, clock: FakeClock) -> None:
    bury(broker, "oldest", "old")
    clock.advance(100)
    moment = clock.now() - 50
    bury(broker, "new")
    assert dead_letters.purge(QUEUE, before=clock.now() - 200) == 0
    assert dead_letters.purge(QUEUE, before=moment) == 2
    assert named(all_of(dead_letters)) == ["new"]


def test_many_letters_are_read_given_back_and_purged(
    broker: Broker, dead_letters: DeadLetters, clock: FakeClock
) -> None:
    send(broker, *range(2500))
    while held := receive(broker, limit=1000):
        broker.reject(leases(held), reason="all")
    letters = all_of(dead_letters, limit=700)
    assert named(letters) == list(range(2499, -1, -1))
    assert list(dead_letters.requeue(ids(reversed(letters[:1100])))) == []
    assert broker.stats([QUEUE])[QUEUE].ready == 1100
    clock.advance(10)
    assert dead_letters.purge(QUEUE, before=clock.now()) == 1400
    assert drain(broker) == list(range(1400, 2500))


@pytest.mark.parametrize("raw", UNREADABLE)
def test_bytes_that_are_no_message_can_be_seen_given_back_as_they_are_and_removed(
    broker: Broker, dead_letters: DeadLetters, case: Case, raw: bytes
) -> None:
    case.inject_raw(QUEUE, raw)
    broker.reject(leases(receive(broker)), reason="unreadable")
    (letter,) = dead_letters.page(QUEUE, limit=10)
    assert isinstance(letter.message, Unreadable)
    assert (letter.message.raw, letter.reason) == (raw, "unreadable")
    assert letter.message.reason
    assert list(dead_letters.requeue([letter.id])) == []
    (again,) = receive(broker)
    assert isinstance(again.message, Unreadable)
    assert (again.message.raw, again.redelivered) == (raw, False)
    broker.reject([again.lease], reason="unreadable again")
    assert list(dead_letters.remove(ids(dead_letters.page(QUEUE, limit=10)))) == []
    assert list(dead_letters.queues()) == []


def test_a_letter_given_back_wakes_who_waits(broker: Broker, peer: DeadLetters) -> None:
    bury(broker, "back")
    (letter,) = peer.page(QUEUE, limit=1)
    with in_thread(lambda: receive(broker, wait=DEADLINE)) as waiting:
        peer.requeue([letter.id])
        assert names(waiting.result(DEADLINE)) == ["back"]


def test_many_who_decide_at_once_give_each_letter_back_once(
    broker: Broker, dead_letters: DeadLetters, peer: DeadLetters
) -> None:
    bury(broker, *range(40))
    wanted = ids(all_of(dead_letters))

    def decide(client: DeadLetters, part: Sequence[str], *, give_back: bool) -> int:
        missing = client.requeue(part) if give_back else client.remove(part)
        return len(part) - len(missing)

    with ThreadPoolExecutor(8, thread_name_prefix="suite") as pool:
        futures = [
            (give_back, pool.submit(decide, client, wanted[start : start + 10], give_back=give_back))
            for start in range(0, 40, 10)
            for client in (dead_letters, peer)
            for give_back in (True, False, True)
        ]
        done = Counter({True: 0, False: 0})
        for give_back, future in futures:
            done[give_back] += future.result(DEADLINE)
    assert done[True] + done[False] == 40
    back = [name(delivery) for delivery in receive(broker)]
    assert len(back) == len(set(back)) == done[True]
    assert broker.stats([QUEUE])[QUEUE].dead == 0


def test_a_repeated_call_after_a_lost_answer_doubles_nothing(broker: Broker, dead_letters: DeadLetters) -> None:
    bury(broker, *range(3))
    wanted = ids(all_of(dead_letters))
    assert list(dead_letters.requeue(wanted)) == []
    assert list(dead_letters.requeue(wanted)) == wanted
    assert sorted(drain(broker)) == [0, 1, 2]
