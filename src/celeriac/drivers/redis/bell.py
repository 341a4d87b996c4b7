"""Waiting for messages without polling: an idle engine blocks on the bells of its queues."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from msgspec import Struct
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as ClientTimeoutError

from celeriac.drivers.redis.client import run_on
from celeriac.drivers.redis.connections import Pool, Wire
from celeriac.drivers.redis.keys import QueueKeys
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.watcher import Watcher

__all__ = ["Bell", "Bells", "Watched"]

log = logging.getLogger(__name__)

_ROUND: Final = 5.0  # seconds; the server answers a waiting engine at least this often, which then looks for itself
_LATE: Final = 4.0  # seconds beyond that until the connection counts as dead


class Watched(Struct, frozen=True):
    """The queues that one receiver asks for, in its order."""

    names: tuple[str, ...]
    queues: tuple[QueueKeys, ...]

    @property
    def bells(self) -> list[str]:
        return [queue.bell for queue in self.queues]

    @property
    def keys(self) -> list[str]:
        """The keys that claim.lua and ring.lua want for each queue: its lists, its bell, its mark."""
        return [key for queue in self.queues for key in (*queue.lists, queue.bell, queue.mark)]


class Bell:
    """One waiting place: a connection with a BLPOP on the bells of some queues, and a watcher beside it.

    The BLPOP stays with the server between two waits, so an engine that waits again at once asks nothing. Used by one
    thread at a time. Raises the client library's errors, after which the bell is silent and may be used again.
    """

    def __init__(self, pool: Pool, watched: Watched) -> None:
        self.watched = watched
        self._pool = pool
        self._wire: Wire | None = None
        self._client_id: int | None = None
        self._asked_at: float | None = None
        lists = len(watched.queues[0].lists) if watched.queues else 0
        self._watcher = Watcher(pool, watched.keys, lists)

    @property
    def is_asked(self) -> bool:
        """True while the server may still answer: nobody rang since the queues were found empty, or it is about to."""
        return self._asked_at is not None

    def wait(self, wake: Wake, until: float) -> bool:
        """Wait until there may be messages (True), or until the moment `until` by `time.monotonic`, or a call."""
        try:
            wire = self._ask()
            self._watcher.tend()
            while not wire.can_read(0):
                now = time.monotonic()
                late = self._late()
                if now >= late:
                    raise ClientTimeoutError("A waiting command was not answered")
                if now >= until:
                    return False
                watching = self._watcher.socket
                sockets = [wire._sock, wake.receiver, watching]  # noqa: SLF001
                ready = readable(sockets, min(until, late, self._watcher.due) - now)
                if wake.receiver in ready:
                    wake.hear()
                    return False
                self._watcher.tend()
            self._answer(wire)
        except BaseException:
            self.drop()
            raise
        return True

    def silence(self) -> None:
        """Take the BLPOP back. A token that it got in this moment goes back on its bell, for an engine that waits."""
        wire, self._wire = self._wire, None
        if wire is not None and self._asked_at is not None and self._client_id is not None:
            try:
                other = self._pool.take()
                run_on(other, ("CLIENT", "UNBLOCK", self._client_id))
                token = self._answer(wire)
                if token:
                    run_on(other, ("RPUSH", token[0], token[1]))
                    run_on(other, ("EXPIRE", token[0], 60))
                self._pool.give(other)
                self._wire = wire
                return
            except (RedisError, OSError) as error:
                # Every waiting engine looks for itself within a few seconds, which a lost token then costs.
                log.debug("A waiting command could not be taken back from Redis: %s", error)
        self._asked_at = None
        if wire is not None:
            wire.disconnect()

    def drop(self) -> None:
        """Close the connections as they are."""
        wire, self._wire, self._asked_at = self._wire, None, None
        if wire is not None:
            wire.disconnect()
        self._watcher.close()

    def _ask(self) -> Wire:
        wire = self._wire
        if wire is None:
            wire = self._wire = self._pool.open()
            try:
                self._client_id = run_on(wire, ("CLIENT", "ID"))
            except ResponseError:  # an ACL without it
                self._client_id = None
        if self._asked_at is None:
            packed = wire.pack_command("BLPOP", *self.watched.bells, _ROUND)
            wire.send_packed_command(packed, check_health=False)
            self._asked_at = time.monotonic()
        return wire

    def _answer(self, wire: Wire) -> list[bytes] | None:
        token: list[bytes] | None = wire.read_response()
        self._asked_at = None
        return token

    def _late(self) -> float:
        return (self._asked_at or 0.0) + _ROUND + _LATE


class Bells:
    """The waiting places of one broker that nobody uses now. Thread-safe; the lock is held for no I/O."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._free: list[Bell] = []
        self._free_lock = threading.Lock()

    def take(self, watched: Watched) -> Bell:
        """Return a bell for these queues; those for other queues are silenced, since nobody listens to them."""
        with self._free_lock:
            free, self._free = self._free, []
        found = None
        for bell in free:
            if found is None and bell.watched.names == watched.names:
                found = bell
            else:
                bell.silence()
                bell.drop()
        return found or Bell(self._pool, watched)

    def give(self, bell: Bell) -> None:
        with self._free_lock:
            self._free.append(bell)

    def silence(self) -> None:
        """Take back what waits: the engine has work, so another one should be woken."""
        with self._free_lock:
            asked = [bell for bell in self._free if bell.is_asked]
            self._free = [bell for bell in self._free if not bell.is_asked]
        for bell in asked:
            bell.silence()
            self.give(bell)

    def close(self) -> None:
        with self._free_lock:
            free, self._free = self._free, []
        for bell in free:
            bell.silence()
            bell.drop()

    def forget_parent(self) -> None:
        self._free_lock = threading.Lock()
        free, self._free = self._free, []
        for bell in free:
            bell.drop()
