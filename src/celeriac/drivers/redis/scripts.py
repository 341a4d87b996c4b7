"""The Lua scripts, each in its own file under `scripts/` with its keys, arguments, result and atomicity above it.

A file whose name begins with an underscore holds functions that several scripts share; it is put before them.
"""

from __future__ import annotations

import hashlib
import pkgutil
from typing import Final

__all__ = ["Script", "source_of"]

_sources: dict[str, bytes] = {}


class Script:
    """A script as the server knows it: `sha` names it, `source` teaches it to a server that does not know it yet."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, *shared: str) -> None:
        self.name = name
        self.source = b"".join(_read(part) for part in (*shared, name))
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()
        _sources[self.sha] = self.source

    def __repr__(self) -> str:
        return f"<Script {self.name}>"


def source_of(sha: str) -> bytes:
    """Return the source of a script by its hash."""
    return _sources[sha]


def _read(name: str) -> bytes:
    source = pkgutil.get_data(__package__ or "", f"scripts/{name}.lua")
    if source is None:
        raise FileNotFoundError(f"scripts/{name}.lua is missing from the installed package; install celeriac again.")
    return source


SEND: Final = Script("send", "_ring", "_once")
SEND_LATER: Final = Script("send_later", "_ring", "_delay", "_once")
CLAIM: Final = Script("claim", "_ring", "_ack", "_claim")
RECOVER: Final = Script("recover")
EXTEND: Final = Script("extend")
ACK: Final = Script("ack", "_ack")
SETTLE: Final = Script("settle", "_ring", "_delay", "_store", "_ack", "_claim")
REQUEUE: Final = Script("requeue", "_ring", "_delay", "_entry")
REJECT: Final = Script("reject", "_entry", "_bury")
PROMOTE: Final = Script("promote", "_ring")
RECLAIM: Final = Script("reclaim", "_ring", "_entry", "_bury")
RING: Final = Script("ring", "_ring")
STATS: Final = Script("stats", "_entry")
PURGE: Final = Script("purge")
REQUEUE_DEAD: Final = Script("requeue_dead", "_ring")
PURGE_DEAD: Final = Script("purge_dead")
STORE_RESULTS: Final = Script("store_results", "_store")
ACQUIRE: Final = Script("acquire")
RELEASE: Final = Script("release")
TAKE: Final = Script("take")
INCREMENT: Final = Script("increment")
OPEN_CHORD: Final = Script("open_chord")
SEAL_CHORD: Final = Script("seal_chord")
GROW_CHORD: Final = Script("grow_chord")
JOIN_CHORD: Final = Script("join_chord")
CLOSE_CHORD: Final = Script("close_chord")
DUE_CHORDS: Final = Script("due_chords")
LOOK_AT_CHORD: Final = Script("look_at_chord")
REVOKE: Final = Script("revoke")
REVOKED_SINCE: Final = Script("revoked_since")
HASTEN: Final = Script("hasten")
