"""What an engine and its supervisor tell one another: small batched notes over a pipe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec
from msgspec import Struct

from celeriac.interfaces.broker import Lease


class Ready(Struct, frozen=True, tag="ready"):
    """Engine: I take work from now on."""


class Held(Struct, frozen=True, tag="held"):
    """Engine: I hold these deliveries; renew their leases."""

    leases: list[Lease]


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

    def held(self, leases: Sequence[Lease]) -> None:
        """Note deliveries that were just received."""

    def settled(self, tags: Sequence[str]) -> None:
        """Note deliveries that are done with."""


class PipeLedger:
    """The engine's end of the pipe. A supervisor that is gone is no error here: the reading side notices it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._guard_sending = threading.Lock()

    def held(self, leases: Sequence[Lease]) -> None:
        self.send(Held(list(leases)))

    def settled(self, tags: Sequence[str]) -> None:
        self.send(Settled(list(tags)))

    def send(self, note: EngineNote) -> None:
        """Write one note; quietly nothing when the supervisor is gone."""
        frame = _encoder.encode(note)
        # Held over a write: frames of two threads must not mix, and the supervisor always reads.
        with self._guard_sending:
            try:
                self._connection.send_bytes(frame)
            except OSError:
                return


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
