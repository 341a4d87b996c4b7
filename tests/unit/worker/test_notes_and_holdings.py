"""What an engine and its supervisor tell one another, and what they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.interfaces.broker import Lease
from celeriac.worker.holdings import Holdings
from celeriac.worker.ledger import RingLedger
from celeriac.worker.notes import (
    Finished,
    Full,
    Held,
    Lost,
    Ready,
    Settled,
    Stop,
    encode,
    read_engine_note,
    read_holding_note,
    read_supervisor_note,
)
from celeriac.worker.ring import Ring

# -- notes -------------------------------------------------------------------------------------------------------------

LEASES = st.lists(st.builds(Lease, queue=st.text(), tag=st.text()))
TAGS = st.lists(st.text())
ROOM = 1 << 14


@given(st.builds(Finished, st.none() | st.text()) | st.just(Ready()) | st.just(Full()))
def test_what_an_engine_writes_the_supervisor_reads(note):
    ours, theirs = Pipe()
    with ours, theirs:
        assert RingLedger(ring(), theirs).send(note)
        assert read_engine_note(ours.recv_bytes()) == note


@given(st.builds(Held, LEASES) | st.builds(Settled, TAGS))
def test_what_an_engine_notes_of_its_holdings_the_supervisor_reads(note):
    assert read_holding_note(encode(note)) == note


@given(st.builds(Stop, now=st.booleans()) | st.builds(Lost, TAGS))
def test_what_the_supervisor_writes_an_engine_reads(note):
    assert read_supervisor_note(encode(note)) == note


# -- the ledger of an engine -------------------------------------------------------------------------------------------


def ring(size: int = ROOM) -> Ring:
    return Ring(bytearray(Ring.HEAD + size), 0, size)


def unread(of: Ring) -> list[Held | Settled]:
    return [read_holding_note(frame) for frame in of.take()]


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    """The supervisor's end and the engine's."""
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def test_notes_of_several_threads_do_not_mix(pipe):
    notes = ring()
    ledger = RingLedger(notes, pipe[1])
    threads = [
        threading.Thread(target=lambda tag=str(number): [ledger.held([Lease("q", tag * 200)]) for _ in range(10)])
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = unread(notes)
    assert sorted(note.leases[0].tag[0] for note in read) == sorted("0123" * 10)
    assert all(len(set(note.leases[0].tag)) == 1 and len(note.leases[0].tag) == 200 for note in read)


def test_nobody_is_woken_by_a_note_until_the_ring_is_half_full(pipe):
    notes, (ours, theirs) = ring(), pipe
    ledger = RingLedger(notes, theirs)
    ledger.held([Lease("q", "x" * (ROOM // 3))])
    assert not ours.poll()
    ledger.settled(["y" * (ROOM // 3)])
    ledger.settled(["z"])
    assert read_engine_note(ours.recv_bytes()) == Full()
    assert not ours.poll(), "it is told once"
    assert len(unread(notes)) == 3
    ledger.settled(["z"])
    ledger.settled(["z" * (ROOM // 3)])
    ledger.settled(["z" * (ROOM // 3)])
    assert read_engine_note(ours.recv_bytes()) == Full()


def test_an_engine_waits_for_room_and_loses_no_note(pipe):
    notes, (ours, theirs) = ring(), pipe
    ledger, holdings = RingLedger(notes, theirs), Holdings(lambda: unread(notes))
    leases = [Lease("q", f"{number:064}") for number in range(2000)]
    writer = threading.Thread(target=lambda: [ledger.held(leases[n : n + 150]) for n in range(0, 2000, 150)])
    writer.start()
    while writer.is_alive():
        assert read_engine_note(ours.recv_bytes()) == Full() if ours.poll(0.01) else True
        holdings.all()
    assert holdings.all() == leases


def test_an_engine_whose_supervisor_is_gone_is_not_disturbed_by_its_notes(pipe):
    ours, theirs = pipe
    ours.close()
    ledger = RingLedger(ring(), theirs)
    for number in range(1000):
        ledger.held([Lease("q", f"{number:064}")])
        ledger.settled([f"{number:064}"])
    assert ledger.held([Lease("q" * ROOM, "1")]) == -1, "nobody renews it"
    assert not ledger.send(Ready())


def test_no_renewal_counts_for_what_is_too_long_to_be_told(pipe):
    notes = ring()
    ledger = RingLedger(notes, pipe[1])
    assert ledger.held([Lease("q" * ROOM, "1")]) == -1
    assert list(notes.take()) == []
    assert ledger.held([Lease("q", "1")]) == 2


def test_the_engine_and_its_supervisor_count_the_notes_of_what_is_held_alike(pipe):
    notes = ring()
    ledger, holdings = RingLedger(notes, pipe[1]), Holdings(lambda: unread(notes))
    assert [ledger.held([Lease("q", tag)]) for tag in "12"] == [1, 2]
    ledger.settled(["1"])
    assert ledger.held([Lease("q", str(tag)) for tag in range(3, 253)]) == 5, "a large one is several"
    assert holdings.notes == 5
    assert len(holdings) == 251
    holdings.take_all()
    assert holdings.notes == 0, "the next engine's are counted anew"


# -- the ring ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.binary(max_size=60), max_size=6), max_size=40))
def test_frames_come_out_as_they_went_in_however_the_ring_turns(batches):
    turning, waiting = ring(128), []
    for batch in batches:
        for frame in batch:
            room = 128 - sum(4 + len(each) for each in waiting)
            fits = 4 + len(frame) <= room
            assert turning.put(frame) == (128 - room + 4 + len(frame) if fits else 0)
            if fits:
                waiting.append(frame)
        assert list(turning.take()) == waiting
        waiting.clear()


def test_a_cleared_ring_is_empty():
    cleared = ring(64)
    cleared.put(b"left by the dead")
    cleared.clear()
    assert list(cleared.take()) == []
    assert cleared.put(b"of the next") == 4 + 11


# -- holdings ----------------------------------------------------------------------------------------------------------


def test_holdings_are_what_was_held_and_not_settled():
    holdings = Holdings()
    one, two, three = (Lease("q", tag) for tag in "123")
    holdings.held([one, two])
    holdings.held([three])
    holdings.settled(["1", "unknown"])
    assert holdings.all() == [two, three]
    assert len(holdings) == 2
    assert holdings.take_all() == [two, three]
    assert holdings.all() == []
