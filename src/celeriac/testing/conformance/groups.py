"""The suite of groups and chords: each part counted once, one owner, an end for every chord."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from celeriac.interfaces.groups import ChordPart, GroupStore, NewChord, OverdueChord
from celeriac.interfaces.store import Store
from celeriac.testing.clock import FakeClock
from celeriac.testing.conformance.case import Case

TTL = 600.0
SHORT = 1.0


@pytest.fixture
def peer(reopen: Callable[[], Store]) -> GroupStore:
    """A second client of the same store."""
    groups = reopen().groups
    assert groups is not None
    return groups


def new(clock: FakeClock, size: int | None = 2, **changes: object) -> NewChord:
    fields = {"id": "c", "size": size, "body": b"body", "deadline": clock.now() + 100, "ttl": TTL}
    return NewChord(**{**fields, **changes})  # type: ignore[arg-type]  # tests change any field


def part(index: int | None, member: str | None = None, *, chord: str = "c", ttl: float = TTL) -> ChordPart:
    return ChordPart(chord, member or f"m{index}", index, f"payload {member or index}".encode(), ttl)


def overdue(groups: GroupStore, clock: FakeClock) -> list[OverdueChord]:
    return list(groups.overdue(now=clock.now(), again=clock.now() + 30, limit=10))


def test_the_last_part_owns_the_end(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 3)])
    assert [list(groups.join([part(index)])) for index in (2, 0, 1)] == [[False], [False], [True]]


def test_parts_come_back_in_the_order_of_their_places(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 12)])
    for index in (11, 2, 10, 0):
        groups.join([part(index)])
    assert list(groups.parts("c")) == [b"payload 0", b"payload 2", b"payload 10", b"payload 11"]


def test_parts_without_a_place_come_last(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 3)])
    groups.join([part(None, "late"), part(5), part(0)])
    assert list(groups.parts("c")) == [b"payload 0", b"payload 5", b"payload late"]


def test_a_part_that_comes_again_is_not_counted_again(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock)])
    assert [list(groups.join([part(0)])) for _ in range(3)] == [[False]] * 3
    assert list(groups.join([part(1)])) == [True]
    assert len(groups.parts("c")) == 2


def test_the_first_payload_of_a_part_stays(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock)])
    groups.join([part(0)])
    groups.join([ChordPart("c", "m0", 0, b"another", TTL)])
    assert list(groups.parts("c")) == [b"payload 0"]


def test_the_owner_stays_the_owner_until_the_chord_is_closed(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock)])
    groups.join([part(0)])
    assert [list(groups.join([part(1)])) for _ in range(2)] == [[True], [True]]
    assert list(groups.join([part(0)])) == [False]
    groups.close(["c"])
    assert list(groups.join([part(1)])) == [False]


def test_many_parts_of_several_chords_are_counted_in_one_call(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 3, id="a"), new(clock, 2, id="b")])
    owners = groups.join([part(n % 3, f"m{n}", chord="ab"[n % 2]) for n in range(5)])
    assert sum(owners) == 2
    assert list(groups.join([])) == []


def test_of_many_who_join_at_once_one_is_the_owner(groups: GroupStore, peer: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 40)])
    with ThreadPoolExecutor(8) as pool:
        joins = [pool.submit((groups, peer)[n % 2].join, [part(n % 40)]) for n in range(80)]
        owned = [(n % 40) for n, joined in enumerate(joins) if joined.result(20) == [True]]
    assert len(set(owned)) == 1
    assert len(groups.parts("c")) == 40


def test_parts_that_come_before_the_chord_is_opened_are_counted(groups: GroupStore, clock: FakeClock) -> None:
    assert list(groups.join([part(0)])) == [False]
    groups.open([new(clock)])
    assert list(groups.join([part(1)])) == [True]


def test_opening_again_changes_nothing(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock)])
    groups.join([part(0)])
    groups.open([new(clock, 9, body=b"other")])
    assert list(groups.join([part(1)])) == [True]


def test_a_closed_chord_is_not_opened_again_unless_anew(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 1)])
    groups.join([part(0)])
    groups.close(["c"])
    groups.open([new(clock, 1)])
    assert list(groups.join([part(0)])) == [False]
    groups.open([new(clock, 1)], anew=True)
    assert list(groups.join([part(0)])) == [True]


def test_a_chord_of_unknown_size_ends_when_it_is_known(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, None, sent_by=clock.now() + 10)])
    assert list(groups.join([part(0), part(1)])) == [False, False]
    assert groups.seal("c", size=3, sent_by=clock.now() + 20)
    assert list(groups.join([part(2)])) == [True]


def test_a_chord_that_grew_waits_for_more(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 1)])
    for added in (["m1"], ["m1", "m2"]):
        groups.grow("c", added)
    assert list(groups.join([part(0), part(1)])) == [False, False]
    assert list(groups.join([part(2)])) == [True]


def test_a_chord_is_overdue_at_its_deadline_and_names_what_is_missing(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 3), new(clock, 1, id="later", deadline=clock.now() + 500)])
    groups.join([part(0), part(2)])
    assert overdue(groups, clock) == []
    clock.advance(101)
    (found,) = overdue(groups, clock)
    assert (found.id, found.body, found.size, found.counted, found.missing) == ("c", b"body", 3, 2, 1)
    assert (found.is_sealed, found.is_complete) == (True, False)


def test_a_part_that_is_kept_for_a_shorter_time_does_not_shorten_the_life_of_its_chord(
    groups: GroupStore, clock: FakeClock
) -> None:
    groups.open([new(clock, 2)])
    groups.join([part(0, ttl=SHORT)])
    time.sleep(SHORT * 1.2)
    clock.advance(101)
    (found,) = overdue(groups, clock)
    assert (found.counted, found.missing) == (1, 1)
    assert list(groups.join([part(1)])) == [True]
    assert len(groups.parts("c")) == 2


def test_an_overdue_chord_is_given_to_one_and_again_when_that_one_took_too_long(
    groups: GroupStore, peer: GroupStore, clock: FakeClock
) -> None:
    groups.open([new(clock)])
    clock.advance(101)
    assert len(overdue(groups, clock)) == 1
    assert overdue(peer, clock) == []
    clock.advance(31)
    assert len(overdue(peer, clock)) == 1
    groups.close(["c"])
    clock.advance(31)
    assert overdue(peer, clock) == []


def test_a_chord_whose_sender_is_not_heard_of_is_overdue(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, sent_by=clock.now() + 10)])
    clock.advance(5)
    assert groups.seal("c", size=None, sent_by=clock.now() + 10)
    clock.advance(6)
    assert overdue(groups, clock) == []
    clock.advance(6)
    (found,) = overdue(groups, clock)
    assert not found.is_sealed
    groups.close(["c"])
    assert not groups.seal("c", size=None)


def test_a_sealed_chord_waits_for_its_deadline(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, sent_by=clock.now() + 10)])
    assert groups.seal("c", size=None)
    clock.advance(20)
    assert overdue(groups, clock) == []


def test_sealing_a_chord_that_has_ended_well_is_no_failure(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock, 1, sent_by=clock.now() + 10)])
    groups.join([part(0)])
    groups.close(["c"])
    assert groups.seal("c", size=None)
    assert not groups.seal("unknown", size=None)


def test_parts_that_come_late_leave_nothing_behind(groups: GroupStore, clock: FakeClock) -> None:
    groups.open([new(clock)])
    groups.close(["c"])
    groups.join([part(0)])
    assert list(groups.parts("c")) == []
    groups.close(["unknown"])
    assert list(groups.parts("unknown")) == []


def test_what_is_counted_ends_after_its_time(groups: GroupStore, case: Case, clock: FakeClock) -> None:
    groups.open([new(clock, ttl=SHORT)])
    groups.join([part(0, ttl=SHORT)])
    clock.advance(SHORT + 0.1)
    if not case.expires_by_clock:
        time.sleep(SHORT + 0.1)
    assert list(groups.join([part(1)])) == [False]
    assert len(groups.parts("c")) <= 1 or case.expires_by_clock


def test_a_group_is_saved_read_and_forgotten(groups: GroupStore, peer: GroupStore) -> None:
    assert groups.fetch("g") is None
    groups.save("g", b"first", ttl=None)
    groups.save("g", b"second", ttl=TTL)
    assert peer.fetch("g") == b"second"
    peer.forget("g")
    peer.forget("g")
    assert groups.fetch("g") is None


def test_a_saved_group_ends_after_its_time(groups: GroupStore, case: Case, clock: FakeClock) -> None:
    groups.save("g", b"payload", ttl=SHORT)
    clock.advance(SHORT + 0.1)
    if not case.expires_by_clock:
        time.sleep(SHORT + 0.1)
    assert groups.fetch("g") is None
