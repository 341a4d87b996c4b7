"""Waiting for messages without polling: an idle engine blocks on the bells of its queues, with its claim behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from celeriac.drivers.redis.client import beginning, with_source
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import DEPOSED, ConnectionLost, NoAnswer, Refusal
from celeriac.drivers.redis.keys import Keys, QueueKeys
from celeriac.drivers.redis.packing import Command, Packed, pack, pack_all, packed, together
from celeriac.drivers.redis.scripts import CLAIM
from celeriac.drivers.redis.waits import Doors, Wake, readable
from celeriac.drivers.redis.watcher import Watcher
from celeriac.drivers.redis.wire import Reply, Wire

__all__ = ["Bell", "Bells", "Watched", "watched_of", "watcher_of"]

log = logging.getLogger(__name__)

_ROUND: Final = 3.5  # seconds; the server answers a waiting engine at least this often, and then it has looked
_LATE: Final = 1.0  # seconds beyond that until the connection counts as dead: it is left within 5 s
_NAMED: Final = 5  # queues that an error names
_LEAST: Final = 0.001  # seconds; a BLPOP of 0 would wait for ever


class Watched(Struct, frozen=True):
    """The queues that one receiver asks for, in its order.

    `keys` are those that claim.lua and ring.lua want for each queue: its lists, its bell, its mark. `doing` completes
    "failed while ..." in an error. Of a command that claims `packed_keys` are the keys that _claim.lua wants, `told` is
    what that is told of the lists, behind what differs from claim to claim. `claim` is the beginning of one that only
    claims, `claim_with` of one that acknowledges before.
    """

    names: tuple[str, ...]
    set_of_names: frozenset[str]
    queues: tuple[QueueKeys, ...]
    keys: tuple[str, ...]
    doing: str
    claim: Packed
    claim_with: Packed
    packed_keys: Packed
    told: Packed


def watched_of(names: Sequence[str], keys: Keys) -> Watched:
    """Return what is said of these queues again and again."""
    queues = tuple(keys.queue(name) for name in names)
    of_each = tuple(key for queue in queues for key in (*queue.lists, queue.bell, queue.mark))
    wanted = packed(keys.revoked_newest, *of_each)
    begun = together(beginning(CLAIM, 3 + len(of_each), keys.unacked, keys.unacked_index), wanted)
    claim = together(begun, packed("0"))
    told = packed(str(len(keys.steps)), *map(str, keys.steps), *(queue.tail for queue in queues))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    doing = f"receiving from {', '.join(names[:_NAMED])}{more}"
    return Watched(tuple(names), frozenset(names), queues, of_each, doing, claim, begun, wanted, told)


def watcher_of(pool: Pool, watched: Watched, delayed_names: str) -> Watcher:
    """Return a watcher for these queues, and for messages that are delayed (see `Keys.delayed_names`)."""
    return Watcher(pool, (delayed_names, *watched.keys), len(watched.queues[0].lists) if watched.queues else 0)


class Bell:
    """One waiting place: a connection that waits for a bell, and a watcher beside it, unless somebody else watches.

    BLPOP on the bells and the claim go to the server in one piece: when the bell rings, or after a while, the server
    runs the claim at once and answers with the messages, one trip after their push. Nothing is left with the server
    when a wait is finished. Used by one thread at a time. Raises `WireError`, after which it may be used again.
    """

    def __init__(self, pool: Pool, watched: Watched, watcher: Watcher | None) -> None:
        self.queues = watched.set_of_names
        self.tells_all = False
        """The bells have told of all there is since the last claim: another before the next ring is for nothing."""
        self.wake = Wake()
        """Ends the wait when it is called."""
        self._bells = [queue.bell for queue in watched.queues]
        self._round = self._ring(_ROUND)
        """What nearly every wait begins with, written once."""
        self._pool = pool
        self._wire: Wire | None = None
        self._doors: Doors | None = None
        """The wire and the wake, to be waited for together."""
        self._generation = pool.generation
        self._watcher = watcher
        self._trusted_until = 0.0
        """By `time.monotonic`: until then the connection is taken to be open, without a look."""

    def wait(self, claim: Command, until: float) -> tuple[Reply, bool]:
        """Wait for a ring, a call, the end of a round, or `until` (by `time.monotonic`), whichever is first.

        Return the claim's answer (None when there was none in the end) and whether somebody called. The answer may be
        an error.
        """
        wire = self._connected()
        try:
            now = time.monotonic()
            span = _ROUND if until - now >= _ROUND else max(_LEAST, until - now)
            wire.send((self._round if span == _ROUND else self._ring(span)) + pack(claim))
            is_called = self._is_called(wire, now + span + _LATE)
            if is_called and not self._take_back(wire):
                self.drop()
                return None, True
            rung, claimed = wire.read_many(2)
            self._trusted_until = time.monotonic() + _LATE
            if type(rung) is Refusal:
                if rung.code in DEPOSED:
                    self._pool.doubt()
                raise rung
            if type(claimed) is Refusal and claimed.is_unknown_script:
                wire.send(pack(with_source(claim)))  # here: after a failover other connections may lead elsewhere
                claimed = wire.read()
            return claimed, is_called
        except BaseException as error:
            self._leave(wire, error)
            raise

    def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands between two waits, on the connection at hand; return their answers, errors among them."""
        wire = self._connected()
        try:
            wire.send(pack_all(commands))
            replies = wire.read_many(len(commands))
        except BaseException as error:
            self._leave(wire, error)
            raise
        self._trusted_until = time.monotonic() + _LATE
        return replies

    def drop(self) -> None:
        """Close the connections as they are."""
        self.tells_all = False
        wire, self._wire, self._doors = self._wire, None, None
        if wire is not None:
            wire.close()
        if self._watcher is not None:
            self._watcher.close()

    def _leave(self, wire: Wire, error: BaseException) -> None:
        """Close a connection that was broken off; let the error tell who had asked."""
        self.drop()
        if isinstance(error, ConnectionLost):
            error.asker = wire.asker
            if isinstance(error, NoAnswer):
                self._pool.doubt()

    def _ring(self, span: float) -> bytes:
        return pack(("BLPOP", *self._bells, f"{span:.3f}"))

    def _connected(self) -> Wire:
        """Return the connection: of this generation, and open as far as can be told."""
        wire, is_ours = self._wire, self._generation == self._pool.generation
        if wire is not None and is_ours and (time.monotonic() < self._trusted_until or wire.is_quiet()):
            return wire
        self.drop()
        self._generation = self._pool.generation
        self._wire = self._pool.open()
        return self._wire

    def _is_called(self, wire: Wire, late: float) -> bool:
        """Wait until the answer begins to arrive, and see to the watcher meanwhile. True when somebody called first."""
        watcher, called = self._watcher, self.wake.receiver
        doors = self._doors = self._doors or Doors((wire.socket, called))
        while True:
            now = time.monotonic()
            if now >= late:
                raise NoAnswer("a waiting command was not answered")
            if watcher is None:
                found = doors.open(late - now)
            else:
                watcher.tend()
                found = readable([wire.socket, called, watcher.socket], min(late, watcher.due) - now)
            if called in found:
                self.wake.hear()
                return True
            if wire.socket in found and (wire.hears_answers_only or wire.has_answer()):
                return False

    def _take_back(self, wire: Wire) -> bool:
        """End the BLPOP, so that the claim behind it is answered. False when the server does not let us."""
        if not wire.asker.number:
            return False
        other = self._pool.take()
        try:
            other.call(("CLIENT", "UNBLOCK", wire.asker.number))
            is_unblocked = True
        except Refusal as error:
            log.debug("Redis at %s does not unblock clients: %s", self._pool.address.location, error)
            is_unblocked = False
        except BaseException:
            other.close()
            raise
        self._pool.give(other)
        return is_unblocked


class Bells:
    """The waiting places of one broker that nobody uses now. Thread-safe without a lock: a list's steps are whole."""

    def __init__(self, pool: Pool, delayed_names: str) -> None:
        self._pool = pool
        self._delayed_names = delayed_names
        self._free: list[Bell] = []
        self.watch_themselves = True
        """Whether each bell has a watcher; False where somebody else watches."""

    def take(self, watched: Watched) -> Bell:
        """Return a bell for these queues, in whatever order; those for other queues are closed."""
        while (bell := self._next()) is not None:
            if bell.queues == watched.set_of_names:
                return bell
            bell.drop()
        watcher = watcher_of(self._pool, watched, self._delayed_names) if self.watch_themselves else None
        return Bell(self._pool, watched, watcher)

    def give(self, bell: Bell) -> None:
        self._free.append(bell)

    def close(self) -> None:
        while (bell := self._next()) is not None:
            bell.drop()

    def _next(self) -> Bell | None:
        try:
            return self._free.pop()
        except IndexError:
            return None
