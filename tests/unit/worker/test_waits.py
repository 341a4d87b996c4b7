"""Waiting again and again for what may change between two waits."""

from __future__ import annotations

import os
from multiprocessing import Pipe

from celeriac.worker.waits import Waits


def test_what_is_readable_or_has_ended_is_returned():
    wait = Waits()
    reader, writer = os.pipe()
    ours, theirs = Pipe()
    assert wait([ours, reader], 0.001) == []
    os.write(writer, b"!")
    assert wait([ours, reader], 10.0) == [reader]
    theirs.send_bytes(b"!")
    assert wait([ours, reader], 10.0) == [ours, reader]
    ours.recv_bytes()
    os.read(reader, 1)
    theirs.close()
    assert wait([ours, reader], 10.0) == [ours]
    ours.close()
    for end in (reader, writer):
        os.close(end)


def test_a_successor_with_the_same_number_is_another():
    wait = Waits()
    first, other = Pipe()
    assert wait([first], 0.001) == []
    number = first.fileno()
    first.close()
    other.close()
    second, theirs = Pipe()
    with second, theirs:
        assert number in (second.fileno(), theirs.fileno())
        theirs.send_bytes(b"!")
        assert wait([second], 10.0) == [second]
