"""What an engine and its supervisor tell one another: small batched notes over a pipe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec
from msgspec import Struct

from celeriac.interfaces.broker import Lease


class Ready(Struct, frozen=True, tag="ready"):
    """Engine: I take work from now on."""


class Held(Struct, frozen=True, tag="held"):
    """Engine: I hold these deliveries; renew their leases. Those in `settled` are done with."""

    leases: list[Lease]
    settled: list[str] = []


class Settled(Struct, frozen=True, tag="settled"):
    """Engine: these are done with."""

    tags: list[str]


class Finished(Struct, frozen=True, tag="finished"):
    """Engine: I have stopped, with everything settled.

    `error` says why when something went wrong; `worn` why another engine shall take my place.
    """

    error: str | None = None
    worn: str | None = None


class Stop(Struct, frozen=True, tag="stop"):
    """Supervisor: stop taking work, finish what runs, give back the rest. `now`: do not wait for what runs."""

    now: bool = False


class Lost(Struct, frozen=True, tag="lost"):
    """Supervisor: the leases with these tags ran out; their tasks belong to others now."""

    tags: list[str]


EngineNote = Ready | Held | Settled | Finished
SupervisorNote = Stop | Lost

_encoder = msgspec.msgpack.Encoder()
_engine_notes = msgspec.msgpack.Decoder(EngineNote)
_supervisor_notes = msgspec.msgpack.Decoder(SupervisorNote)


class Ledger(Protocol):
    """Who is told what an engine holds, so that its leases are renewed. Thread-safe."""

    def held(self, leases: Sequence[Lease]) -> int:
        """Note deliveries that were just received; return the number of this note, from 1."""

    def settled(self, tags: Sequence[str]) -> None:
        """Note deliveries that are done with. It may be told with the next that are held, or by `flush`."""

    def flush(self) -> None:
        """Tell what was noted."""

    def unsettled(self, tags: Sequence[str]) -> list[str]:
        """Return those that were not noted to be done with since `flush`."""


class PipeLedger:
    """The engine's end of the pipe. A supervisor that is gone is no error here: the reading side notices it.

    What is settled is told together with what is held next, or when there is nothing to do: each note wakes the
    supervisor, which costs as much as ten small tasks. It believes meanwhile that the engine holds what it does not,
    which the store puts right: a delivery that was settled can be neither extended nor given back.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._guard_sending = threading.Lock()
        self._guard_settled = threading.Lock()
        self._settled: list[str] = []
        self._held_notes = 0

    def held(self, leases: Sequence[Lease]) -> int:
        frame = _encoder.encode(Held(list(leases), self._take_settled()))
        with self._guard_sending:
            self._held_notes += 1  # in the order of the pipe, so that the supervisor counts the same
            self._write(frame)
            return self._held_notes

    def settled(self, tags: Sequence[str]) -> None:
        with self._guard_settled:
            self._settled += tags

    def flush(self) -> None:
        settled = self._take_settled()
        if settled:
            self.send(Settled(settled))

    def unsettled(self, tags: Sequence[str]) -> list[str]:
        with self._guard_settled:
            settled = frozenset(self._settled)
        return [tag for tag in tags if tag not in settled]

    def _take_settled(self) -> list[str]:
        with self._guard_settled:
            settled, self._settled = self._settled, []
            return settled

    def send(self, note: EngineNote) -> None:
        """Write one note; quietly nothing when the supervisor is gone."""
        frame = _encoder.encode(note)
        with self._guard_sending:
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        """Write with the lock held: frames of two threads must not mix, and the supervisor always reads."""
        with suppress(OSError):
            self._connection.send_bytes(frame)


def encode(note: SupervisorNote) -> bytes:
    """Write a supervisor's note."""
    return _encoder.encode(note)


def read_engine_note(frame: bytes) -> EngineNote:
    """Read what an engine sent."""
    note: EngineNote = _engine_notes.decode(frame)
    return note


def read_supervisor_note(frame: bytes) -> SupervisorNote:
    """Read what the supervisor sent."""
    note: SupervisorNote = _supervisor_notes.decode(frame)
    return note
