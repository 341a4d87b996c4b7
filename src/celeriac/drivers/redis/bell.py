"""Waiting for messages without polling: an idle engine blocks on the bells of its queues, with its claim behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from celeriac.drivers.redis.client import beginning, with_source
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import DEPOSED, ConnectionLost, NoAnswer, Refusal
from celeriac.drivers.redis.keys import Keys, QueueKeys
from celeriac.drivers.redis.packing import Command, Packed, pack, pack_all, packed
from celeriac.drivers.redis.scripts import CLAIM
from celeriac.drivers.redis.waits import Wake, readable
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
    "failed while ..." in an error. Of a claim's command `claim` is the beginning; `packed_keys` are those that
    _claim.lua wants; `told` is what that is told of the lists, behind what differs from claim to claim.
    """

    names: tuple[str, ...]
    set_of_names: frozenset[str]
    queues: tuple[QueueKeys, ...]
    keys: tuple[str, ...]
    doing: str
    claim: Packed
    packed_keys: Packed
    told: Packed


def watched_of(names: Sequence[str], keys: Keys) -> Watched:
    """Return what is said of these queues again and again."""
    queues = tuple(keys.queue(name) for name in names)
    of_each = tuple(key for queue in queues for key in (*queue.lists, queue.bell, queue.mark))
    claim = beginning(CLAIM, 3 + len(of_each), keys.unacked, keys.unacked_index)
    told = packed(str(len(keys.steps)), *map(str, keys.steps), *(queue.tail for queue in queues))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    doing = f"receiving from {', '.join(names[:_NAMED])}{more}"
    wanted = packed(keys.revoked_newest, *of_each)
    return Watched(tuple(names), frozenset(names), queues, of_each, doing, claim, wanted, told)


def watcher_of(pool: Pool, watched: Watched, delayed_names: str) -> Watcher:
    """Return a watcher for these queues, and for messages that are delayed (see `Keys.delayed_names`)."""
    return Watcher(pool, (delayed_names, *watched.keys), len(watched.queues[0].lists) if watched.queues else 0)


class Bell:
    """One waiting place: a connection that waits for a bell, and a watcher beside it, unless somebody else watches.

    BLPOP on the bells and the claim go to the server in one piece: when the bell rings, or after a while, the server
    runs the claim at once and answers with the messages, one trip after their push. Nothing is left with the server
    when a wait is finished. Used by one thread at a time. Raises `WireError`, after which it may be used again.

    `open`, `begin` and `finish` make a wait. What is to be done before goes by `send`, ahead of `begin`, so that it is
    on its way before the claim is made; `answer`, behind it, returns what the server says to that.
    """

    def __init__(self, pool: Pool, watched: Watched, watcher: Watcher | None) -> None:
        self.queues = watched.set_of_names
        self.is_known_empty = False
        """The last claim found nothing and cleared the bells, so another one before the next ring is for nothing."""
        self.wake = Wake()
        """Ends the wait when it is called."""
        self._bells = [queue.bell for queue in watched.queues]
        self._pool = pool
        self._wire: Wire | None = None
        self._generation = pool.generation
        self._watcher = watcher
        self._claim: Command = ()
        self._is_rung = False
        """What the wait brings has come along with the answer to what was sent before."""
        self._late = 0.0
        """Until when the server answers a wait, or the connection is trusted without a look."""

    def open(self) -> None:
        """See that there is a connection, of this generation and as far as can be told open."""
        wire = self._wire
        if (
            wire is None
            or self._generation != self._pool.generation
            or (time.monotonic() > self._late and not wire.is_quiet())
        ):
            self.drop()
            self._generation = self._pool.generation
            self._wire = self._pool.open()

    def send(self, command: Command) -> None:
        """Send a command that is done before the wait that `begin` begins; `answer` returns its answer after that."""
        self._say(pack(command))

    def begin(self, claim: Command, span: float) -> None:
        """Begin to wait, for so many seconds or a round, whichever is less; `finish` follows."""
        span = max(_LEAST, min(_ROUND, span))
        self._claim, self._late = claim, time.monotonic() + span + _LATE
        self._say(pack_all([(packed("BLPOP", *self._bells, f"{span:.3f}"),), claim]))

    def _say(self, commands: bytes) -> None:
        wire = self._opened()
        try:
            wire.send(commands)
        except BaseException as error:
            self._broken_off(wire, error)
            raise

    def answer(self) -> Reply:
        """Return the answer to what was to be done first, which may be an error."""
        wire = self._opened()
        try:
            reply = wire.read()
            self._is_rung = wire.holds_answer()
            return reply
        except BaseException as error:
            self._broken_off(wire, error)
            raise

    def finish(self, *, at_once: bool = False) -> tuple[Reply, bool]:
        """Wait for a ring, a call, or the end of the wait, whichever is first; with `at_once` for none of these.

        Return the claim's answer (None when there was none in the end) and whether somebody called. The answer may be
        an error.
        """
        wire = self._opened()
        try:
            is_rung, self._is_rung = self._is_rung, False
            is_called = not (at_once or is_rung) and self._is_called(wire, self._late)
            if (is_called or at_once) and not is_rung and not self._take_back(wire):
                self.drop()
                return None, is_called
            rung, claimed = wire.read_many(2)
            self._late = time.monotonic() + _LATE
            if isinstance(rung, Refusal):
                if rung.code in DEPOSED:
                    self._pool.doubt()
                raise rung
            if isinstance(claimed, Refusal) and claimed.is_unknown_script:
                # Here: after a failover other connections may lead elsewhere.
                wire.send(pack(with_source(self._claim)))
                claimed = wire.read()
            return claimed, is_called
        except BaseException as error:
            self._broken_off(wire, error)
            raise

    def drop(self) -> None:
        """Close the connections as they are."""
        self.is_known_empty = self._is_rung = False
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if self._watcher is not None:
            self._watcher.close()

    def _opened(self) -> Wire:
        if self._wire is None:
            raise ConnectionLost("the connection was closed")
        return self._wire

    def _broken_off(self, wire: Wire, error: BaseException) -> None:
        """Leave the connection; let the error tell who had asked."""
        self.drop()
        if isinstance(error, ConnectionLost):
            error.asker = wire.asker
            if isinstance(error, NoAnswer):
                self._pool.doubt()

    def _is_called(self, wire: Wire, late: float) -> bool:
        """Wait until the answer begins to arrive, and see to the watcher meanwhile. True when somebody called first."""
        watcher, called, due = self._watcher, self.wake.receiver, late
        sockets: list[socket.socket | None] = [wire.socket, called]
        while True:
            if watcher is not None:
                watcher.tend()
                sockets[2:] = [watcher.socket]
                due = min(late, watcher.due)
            now = time.monotonic()
            found = readable(sockets, due - now)
            if called in found:
                self.wake.hear()
                return True
            if wire.socket in found and (wire.hears_answers_only or wire.has_answer()):
                return False
            if now >= late:  # asked last: of a wait that was begun long ago the answer may be there
                raise NoAnswer("a waiting command was not answered")

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
    """The waiting places of one broker that nobody uses now. Thread-safe; the lock is held for no I/O."""

    def __init__(self, pool: Pool, delayed_names: str) -> None:
        self._pool = pool
        self._delayed_names = delayed_names
        self._free: list[Bell] = []
        self._free_lock = threading.Lock()
        self.watch_themselves = True
        """Whether each bell has a watcher; False where somebody else watches."""

    def take(self, watched: Watched) -> Bell:
        """Return a bell for these queues, in whatever order; those for other queues are closed."""
        with self._free_lock:
            free, self._free = self._free, []
        found = None
        for bell in free:
            if found is None and bell.queues == watched.set_of_names:
                found = bell
            else:
                bell.drop()
        if found is not None:
            return found
        watcher = watcher_of(self._pool, watched, self._delayed_names) if self.watch_themselves else None
        return Bell(self._pool, watched, watcher)

    def give(self, bell: Bell) -> None:
        with self._free_lock:
            self._free.append(bell)

    def close(self) -> None:
        with self._free_lock:
            free, self._free = self._free, []
        for bell in free:
            bell.drop()

    def forget_parent(self) -> None:
        self._free_lock = threading.Lock()
        self.close()
