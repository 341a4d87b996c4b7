"""What an engine and its supervisor tell one another."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from celeriac.interfaces.broker import Lease
from celeriac.interfaces.revocations import Revocation


class Ready(Struct, frozen=True, tag="ready"):
    """Engine: I take work from now on."""


class Held(Struct, frozen=True, tag="held", gc=False):
    """Engine: I hold these deliveries; renew their leases."""

    leases: Sequence[Lease]


class Settled(Struct, frozen=True, tag="settled", gc=False):
    """Engine: these are done with."""

    tags: Sequence[str]


class Full(Struct, frozen=True, tag="full"):
    """Engine: read what I hold, there will soon be no room for more."""


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


class Revoke(Struct, frozen=True, tag="revoke"):
    """Supervisor: these must not run, and what runs of them has to end where they name a signal."""

    revocations: list[Revocation]


class Ending(Struct, frozen=True, tag="ending"):
    """Engine: I know what you said is revoked, and have told these runs to end.

    By the tags of their leases, the signals that they were revoked with.
    """

    signals: dict[str, str]


EngineNote = Ready | Full | Finished | Ending
HoldingNote = Held | Settled
SupervisorNote = Stop | Lost | Revoke

encode = msgspec.msgpack.Encoder().encode
"""Write a note."""

_engine_notes = msgspec.msgpack.Decoder(EngineNote)
_holding_notes = msgspec.msgpack.Decoder(HoldingNote)
_supervisor_notes = msgspec.msgpack.Decoder(SupervisorNote)


def read_engine_note(frame: bytes) -> EngineNote:
    """Read what an engine sent through its pipe."""
    note: EngineNote = _engine_notes.decode(frame)
    return note


def read_holding_note(frame: bytes) -> HoldingNote:
    """Read what an engine put into its ring."""
    note: HoldingNote = _holding_notes.decode(frame)
    return note


def read_supervisor_note(frame: bytes) -> SupervisorNote:
    """Read what the supervisor sent."""
    note: SupervisorNote = _supervisor_notes.decode(frame)
    return note
