"""Waiting for messages without polling: an idle engine blocks on the bells of its queues, with its claim behind."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from celeriac.drivers.redis.client import with_source
from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import DEPOSED, ConnectionLost, NoAnswer, Refusal
from celeriac.drivers.redis.keys import Keys, QueueKeys
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.watcher import Watcher
from celeriac.drivers.redis.wire import Command, Reply, Wire, pack, pack_all

__all__ = ["Bell", "Bells", "Watched", "watched_of", "watcher_of"]

log = logging.getLogger(__name__)

_ROUND: Final = 3.5  # seconds; the server answers a waiting engine at least this often, and then it has looked
_LATE: Final = 1.0  # seconds beyond that until the connection counts as dead: it is left within 5 s
_NAMED: Final = 5  # queues that an error names
_LEAST: Final = 0.001  # seconds; a BLPOP of 0 would wait for ever


class Watched(Struct, frozen=True):
    """The queues that one receiver asks for, in its order.

    `keys` are those that claim.lua and ring.lua want for each queue: its lists, its bell, its mark. `told` is what
    claim.lua is told of the lists, behind what differs from claim to claim. `doing` completes "failed while ..." in an
    error.
    """

    names: tuple[str, ...]
    queues: tuple[QueueKeys, ...]
    keys: tuple[str, ...]
    told: tuple[str, ...]
    doing: str


def watched_of(names: Sequence[str], keys: Keys) -> Watched:
    """Return what is said of these queues again and again."""
    queues = tuple(keys.queue(name) for name in names)
    of_each = tuple(key for queue in queues for key in (*queue.lists, queue.bell, queue.mark))
    told = (str(len(keys.steps)), *map(str, keys.steps), *(queue.tail for queue in queues))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    doing = f"receiving from {', '.join(names[:_NAMED])}{more}"
    return Watched(tuple(names), queues, of_each, told, doing)


def watcher_of(pool: Pool, watched: Watched, delayed_names: str) -> Watcher:
    """Return a watcher for these queues, and for messages that are delayed (see `Keys.delayed_names`)."""
    return Watcher(pool, (delayed_names, *watched.keys), len(watched.queues[0].lists) if watched.queues else 0)


class Bell:
    """One waiting place: a connection that waits for a bell, and a watcher beside it, unless somebody else watches.

    BLPOP on the bells and the claim go to the server in one piece: when the bell rings, or after a while, the server
    runs the claim at once and answers with the messages, one trip after their push. Nothing is left with the server
    between two waits. Used by one thread at a time. Raises `WireError`, after which it may be used
    again.
    """

    def __init__(self, pool: Pool, watched: Watched, watcher: Watcher | None) -> None:
        self.queues = frozenset(watched.names)
        self.is_known_empty = False
        """The last claim found nothing and cleared the bells, so another one before the next ring is for nothing."""
        self.wake = Wake()
        """Ends the wait when it is called."""
        self._bells = [queue.bell for queue in watched.queues]
        self._pool = pool
        self._wire: Wire | None = None
        self._generation = pool.generation
        self._watcher = watcher

    def wait(self, claim: Command, until: float) -> tuple[Reply, bool]:
        """Wait for a ring, a call, the end of a round, or `until` (by `time.monotonic`), whichever is first.

        Return the claim's answer (None when there was none in the end) and whether somebody called. The answer may be
        an error.
        """
        if self._generation != self._pool.generation:
            self.drop()
        wire = self._wire or self._open()
        try:
            span = max(_LEAST, min(_ROUND, until - time.monotonic()))
            wire.send(pack_all([("BLPOP", *self._bells, f"{span:.3f}"), claim]))
            is_called = self._is_called(wire, time.monotonic() + span + _LATE)
            if is_called and not self._take_back(wire):
                self.drop()
                return None, True
            rung, claimed = wire.read_many(2)
            if isinstance(rung, Refusal):
                if rung.code in DEPOSED:
                    self._pool.doubt()
                raise rung
            if isinstance(claimed, Refusal) and claimed.is_unknown_script:
                wire.send(pack(with_source(claim)))  # here: after a failover other connections may lead elsewhere
                claimed = wire.read()
            return claimed, is_called
        except ConnectionLost as error:
            self.drop()
            error.asker = wire.asker
            if isinstance(error, NoAnswer):
                self._pool.doubt()
            raise
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Close the connections as they are."""
        self.is_known_empty = False
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        if self._watcher is not None:
            self._watcher.close()

    def _open(self) -> Wire:
        self._generation = self._pool.generation
        self._wire = self._pool.open()
        return self._wire

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
            if now >= late:
                raise NoAnswer("a waiting command was not answered")
            found = readable(sockets, due - now)
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
        found, queues = None, frozenset(watched.names)
        for bell in free:
            if found is None and bell.queues == queues:
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
