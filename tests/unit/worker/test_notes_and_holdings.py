"""What an engine and its supervisor tell one another, and what they hold."""

from __future__ import annotations

import threading
from multiprocessing import Pipe

from hypothesis import given
from hypothesis import strategies as st

from celeriac.interfaces.broker import Lease
from celeriac.worker.holdings import Holdings
from celeriac.worker.notes import (
    Finished,
    Held,
    Lost,
    PipeLedger,
    Ready,
    Settled,
    Stop,
    encode,
    read_engine_note,
    read_supervisor_note,
)

# -- notes -------------------------------------------------------------------------------------------------------------

LEASES = st.lists(st.builds(Lease, queue=st.text(), tag=st.text()))
TAGS = st.lists(st.text())


@given(
    st.builds(Held, LEASES) | st.builds(Settled, TAGS) | st.builds(Finished, st.none() | st.text()) | st.just(Ready())
)
def test_what_an_engine_writes_the_supervisor_reads(note):
    ours, theirs = Pipe()
    with ours, theirs:
        PipeLedger(theirs).send(note)
        assert read_engine_note(ours.recv_bytes()) == note


@given(st.builds(Stop, now=st.booleans()) | st.builds(Lost, TAGS))
def test_what_the_supervisor_writes_an_engine_reads(note):
    assert read_supervisor_note(encode(note)) == note


def test_notes_of_several_threads_do_not_mix():
    ours, theirs = Pipe()
    ledger = PipeLedger(theirs)
    threads = [
        threading.Thread(target=lambda tag=str(number): [ledger.held([Lease("q", tag * 200)]) for _ in range(50)])
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    read = [read_engine_note(ours.recv_bytes()) for _ in range(200)]
    for thread in threads:
        thread.join()
    assert sorted(note.leases[0].tag[0] for note in read) == sorted("0123" * 50)
    assert all(len(set(note.leases[0].tag)) == 1 and len(note.leases[0].tag) == 200 for note in read)
    ours.close()
    theirs.close()


def test_an_engine_whose_supervisor_is_gone_is_not_disturbed_by_its_notes():
    ours, theirs = Pipe()
    ours.close()
    ledger = PipeLedger(theirs)
    ledger.held([Lease("q", "1")])
    ledger.settled(["1"])
    ledger.flush()
    theirs.close()


def test_what_is_settled_is_told_with_what_is_held_next_or_when_there_is_nothing():
    ours, theirs = Pipe()
    ledger = PipeLedger(theirs)
    ledger.settled(["1", "2"])
    ledger.settled(["3"])
    assert not ours.poll()
    assert ledger.unsettled(["3", "4"]) == ["4"]
    ledger.held([Lease("q", "4")])
    assert read_engine_note(ours.recv_bytes()) == Held([Lease("q", "4")], ["1", "2", "3"])
    ledger.settled(["4"])
    ledger.flush()
    ledger.flush()
    assert read_engine_note(ours.recv_bytes()) == Settled(["4"])
    assert not ours.poll()
    ours.close()
    theirs.close()


def test_the_engine_and_its_supervisor_count_the_notes_of_what_is_held_alike():
    ours, theirs = Pipe()
    ledger, holdings = PipeLedger(theirs), Holdings()
    numbers = [ledger.held([Lease("q", tag)]) for tag in "12"]
    ledger.send(Ready())
    ledger.settled(["1"])
    ledger.flush()
    numbers.append(ledger.held([Lease("q", "3")]))
    read = [read_engine_note(ours.recv_bytes()) for _ in range(5)]
    assert numbers == [holdings.held(note.leases) for note in read if isinstance(note, Held)] == [1, 2, 3]
    assert holdings.notes == 3
    holdings.take_all()
    assert holdings.notes == 0, "the next engine's are counted anew"
    ours.close()
    theirs.close()


# -- holdings ----------------------------------------------------------------------------------------------------------


def test_holdings_are_what_was_held_and_not_settled():
    holdings = Holdings()
    one, two, three = (Lease("q", tag) for tag in "123")
    holdings.held([one, two])
    holdings.held([three])
    holdings.settled(["1", "unknown"])
    assert holdings.unsettled(["1", "2", "unknown"]) == ["2"]
    assert holdings.all() == [two, three]
    assert len(holdings) == 2
    assert holdings.take_all() == [two, three]
    assert holdings.all() == []
