"""Hearing of results: one connection that listens for all threads of a process that wait.

Whoever waits first leads: it alone reads and writes the connection, for itself and for the others, who sleep. So one
waiting thread is woken by the server's own message, with no other thread between, and a thousand need no more
sockets. When the leader has what it wants, another who still waits takes the lead.

The leader also looks what is there already of all that is waited for, behind the subscription: nothing is missed.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import takewhile
from typing import Final

from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import ConnectionLost, NoAnswer, Refusal, WireError
from celeriac.drivers.redis.packing import Command, pack, pack_all
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.wire import Reply, Wire
from celeriac.forks import after_fork_in_child

__all__ = ["Ear", "Waiter"]

_SILENCE: Final = 3.5  # seconds without a word until the server is asked whether it is there
_PATIENCE: Final = 4.0  # seconds for its answers: what other calls wait (ADR 7)
_LINGER: Final = 1.0  # seconds that a channel stays subscribed after its last waiter: most come back for the rest
_LONGEST, _MANY = 10.0, 100  # seconds until it is ended all the same, and how many are ended together before that
_LOOK: Final = "look"  # what the server is to say when it has subscribed us to all that came before, and how it does:
_SUBSCRIBED: Final = (b"look", [b"pong", b"look"])  # over RESP3 and over RESP2


class _Bell:
    """What a waiter sleeps on: as `threading.Event` for a single one, in steps that nothing breaks into.

    An exception from outside (Ctrl-C, a soft limit) may strike in the middle of an Event's methods, written in Python,
    and leave its lock taken: whoever set it next would stand still for good, with the ear's lock in hand.
    `set` and `clear` are called with the ear's lock held.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        if self._lock.locked():
            self._lock.release()

    def clear(self) -> None:
        self._lock.acquire(blocking=False)

    def wait(self, timeout: float) -> None:
        self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))


class Waiter:
    """Who waits for some channels, which may change meanwhile. The ear's lock guards its fields."""

    __slots__ = ("channels", "error", "event", "has_news", "heard", "was_there")

    def __init__(self) -> None:
        self.channels: set[str] = set()
        self.heard: dict[str, bytes] = {}
        self.was_there = False
        """Some of what was heard was there before it was waited for."""
        self.error: WireError | None = None
        self.has_news = False
        self.event: _Bell | None = None
        """What a waiter sleeps on that does not lead; to make one costs as much as all the rest."""

    def call(self) -> None:
        """Have it see what is new, or take the lead."""
        self.has_news = True
        if self.event is not None:
            self.event.set()


class Ear:
    """Waits for messages on channels, and looks what is there already. Thread-safe; raises `WireError`.

    `look` reads what is there, for servers that cannot be asked on the listening connection (which needs RESP3).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        is_wanted: Callable[[bytes], bool],
        look: Callable[[Sequence[str]], Sequence[bytes | None]],
    ) -> None:
        self._pool = pool
        self._is_wanted = is_wanted
        self._look = look
        self._begin()
        after_fork_in_child(self)

    @property
    def should_look_first(self) -> bool:
        """Whether a look of one's own is likely to save the wait: it did the last time, or comes sooner."""
        return self._last_was_there or not self._speaks_resp3

    def _begin(self) -> None:
        self._speaks_resp3 = True  # until the server or a proxy refuses it
        self._last_was_there = False
        self._looks_apart = False
        """Whether to look through another connection: the server cuts who listens and is sent more than 32 MB."""
        self._wake = Wake()
        self._wire: Wire | None = None  # the leader's alone, as the next five
        self._generation = 0
        self._heard_at = 0.0
        self._asked_at: float | None = None
        self._asked_for: set[str] = set()
        self._looks: deque[list[str]] = deque()  # channels whose contents were asked for
        self._state_lock = threading.Lock()
        self._leader: Waiter | None = None
        self._sleepers: set[Waiter] = set()
        self._open: set[Waiter] = set()
        self._waiters: dict[str, set[Waiter]] = {}
        self._unseen: set[str] = set()  # channels to be subscribed to, and looked at
        self._idle_since: dict[str, float] = {}  # the one left longest ago first

    def open(self) -> Waiter:
        """Return one who waits for nothing yet. `leave` it at last."""
        waiter = Waiter()
        with self._state_lock:
            self._open.add(waiter)
        return waiter

    def join(self, waiter: Waiter, channels: Collection[str]) -> None:
        """Have `waiter` hear of these too, and of what is there already. For any thread; blocks for no I/O."""
        with self._state_lock:
            for channel in channels:
                self._waiters.setdefault(channel, set()).add(waiter)
                self._idle_since.pop(channel, None)
            waiter.channels.update(channels)
            self._unseen.update(channels)
            is_led = self._leader is not None
        if is_led:
            self._wake.call()

    def part(self, waiter: Waiter, channels: Iterable[str]) -> None:
        """Have `waiter` hear of these no more. For any thread; blocks for no I/O."""
        with self._state_lock:
            self._part(waiter, waiter.channels.intersection(channels))

    def leave(self, waiter: Waiter) -> None:
        """End a waiter."""
        with self._state_lock:
            self._part(waiter, waiter.channels.copy())
            self._open.discard(waiter)

    def hear(self, waiter: Waiter, *, until: float) -> dict[str, bytes]:
        """Return what was heard since the last time, as soon as there is something; empty at `until`.

        `until` is a moment of `time.monotonic`.
        """
        try:
            while True:
                heard = self._news(waiter)
                if heard or time.monotonic() >= until:
                    return heard
                event = self._take_lead(waiter)
                if event is None:
                    self._lead(waiter, until)
                else:
                    event.wait(max(0.0, until - time.monotonic()))
        finally:
            try:
                self._stop_hearing(waiter)
            except BaseException:  # broken off, too
                self._stop_hearing(waiter)
                raise

    def close(self) -> None:
        """Have all who wait raise, and close the connection."""
        with self._state_lock:
            self._fail(ConnectionLost("the connection was closed"))
            wire = self._forget() if self._leader is None else None  # the leader closes it, as it raises
        self._wake.call()
        if wire is not None:
            wire.close()

    def forget_parent(self) -> None:
        """Begin anew after a fork."""
        if self._wire is not None:
            self._wire.close()
        self._wake.close()
        self._begin()

    # What waiters do

    def _part(self, waiter: Waiter, channels: set[str]) -> None:
        """The lock is held."""
        now = time.monotonic()
        waiter.channels -= channels
        for channel in channels:
            waiter.heard.pop(channel, None)
            others = self._waiters[channel]
            others.discard(waiter)
            if not others:
                del self._waiters[channel]
                self._idle_since[channel] = now

    def _stop_hearing(self, waiter: Waiter) -> None:
        """Let another lead, if nobody does. The waiter may be broken off anywhere, even as it gives up the lead."""
        with self._state_lock:
            self._sleepers.discard(waiter)
            if self._leader is waiter:
                self._leader = None
            if self._leader is None and self._sleepers:
                self._sleepers.pop().call()

    def _news(self, waiter: Waiter) -> dict[str, bytes]:
        with self._state_lock:
            waiter.has_news = False
            if waiter.event is not None:
                waiter.event.clear()
            error, waiter.error = waiter.error, None
            if error is not None:
                raise error
            self._last_was_there, waiter.was_there = waiter.was_there, False
            heard, waiter.heard = waiter.heard, {}
            return heard

    def _take_lead(self, waiter: Waiter) -> _Bell | None:
        """Return None to the one who leads from now on, and what to sleep on to another."""
        with self._state_lock:
            if self._leader is None:
                self._leader = waiter
                self._sleepers.discard(waiter)
                return None
            self._sleepers.add(waiter)
            if waiter.event is None:
                waiter.event = _Bell()
                if waiter.has_news:
                    waiter.call()
            return waiter.event

    def _fail(self, error: WireError) -> None:
        """The lock is held."""
        for waiter in self._open:
            waiter.error = error
            waiter.call()

    # What the leader does

    def _lead(self, waiter: Waiter, until: float) -> None:
        """Serve the connection until there is news for the leader itself, or `until`."""
        wire: Wire | None = None
        try:
            while not waiter.has_news and time.monotonic() < until:
                try:
                    self._serve(until)
                except ConnectionLost as error:
                    if isinstance(error, NoAnswer):
                        self._pool.doubt()
                        if self._wire is None:  # a new connection was not greeted: another would not be either
                            raise
                    else:
                        self._looks_apart = True
                    self._drop()  # and connect again at once; what was published meanwhile is found by looking
                    self._connect()
        except WireError as error:
            with self._state_lock:
                self._fail(error)
        except BaseException:
            self._drop()
            raise
        finally:
            with self._state_lock:
                self._leader = None
                if waiter.error is not None:
                    wire = self._forget()
            if wire is not None:
                wire.close()

    def _serve(self, until: float) -> None:
        """Subscribe to what is wanted and pass on what arrives; return when something arrived or time is up."""
        wire = self._wire or self._connect()
        if self._generation != self._pool.generation:
            raise ConnectionLost("another connection gave no answer")
        unsubscribing = self._ask(wire)
        if not wire.has_answer():
            now = time.monotonic()
            moment = min(until, unsubscribing, self._check_pulse(wire, now))
            if self._wake.receiver in readable([wire.socket, self._wake.receiver], moment - now):
                self._wake.hear()
            wire.has_answer()
        for answer in wire.taken_in():
            self._heard_at, self._asked_at = time.monotonic(), None
            self._pass_on(answer)

    def _connect(self) -> Wire:
        self._generation = self._pool.generation
        wire = self._wire = self._open_wire()
        self._heard_at, self._asked_at = time.monotonic(), None
        return wire

    def _open_wire(self) -> Wire:
        if self._speaks_resp3:
            try:
                wire = self._pool.open(resp3=True)
            except NoAnswer:
                raise
            except WireError:
                plain = self._pool.open()  # when the server is away, it is this that fails
                self._speaks_resp3 = False
                return plain
            wire.reads_pushes = True
            return wire
        return self._pool.open()

    def _drop(self) -> None:
        with self._state_lock:
            wire = self._forget()
        if wire is not None:
            wire.close()

    def _forget(self) -> Wire | None:
        """Forget what was asked of the connection, to ask it of the next; return it, to be closed. The lock is held."""
        wire, self._wire = self._wire, None
        self._asked_for.clear()
        self._looks.clear()
        self._idle_since.clear()
        self._unseen.update(self._waiters)
        return wire

    def _ask(self, wire: Wire) -> float:
        """Subscribe to what is waited for since the last time, look what is there of it, and end what nobody needs.

        Return the moment from which there is more to end.
        """
        now = time.monotonic()
        with self._state_lock:
            unseen = [channel for channel in self._unseen if channel in self._waiters]
            self._unseen.clear()
            # Oldest first, so that thousands that were left just now are not looked through each time.
            oldest, idle = next(iter(self._idle_since.values()), math.inf), list[str]()
            if oldest < now - (_LINGER if len(self._idle_since) > _MANY else _LONGEST):
                idle = [name for name, _ in takewhile(lambda it: it[1] < now - _LINGER, self._idle_since.items())]
                for channel in idle:
                    del self._idle_since[channel]
                oldest = next(iter(self._idle_since.values()), math.inf)
        commands: list[Command] = []
        if ended := self._asked_for.intersection(idle):
            commands.append(("UNSUBSCRIBE", *ended))
            self._asked_for -= ended
        if new := [channel for channel in unseen if channel not in self._asked_for]:
            commands.append(("SUBSCRIBE", *new))
            self._asked_for.update(new)
        if unseen:
            looks_here = self._speaks_resp3 and not self._looks_apart
            commands.append(("MGET", *unseen) if looks_here else ("PING", _LOOK))
            self._looks.append(unseen)
            self._asked_at = self._asked_at or now
        if commands:
            wire.send(pack_all(commands))
        return oldest + _LONGEST

    def _check_pulse(self, wire: Wire, now: float) -> float:
        """Ask a silent server for a word; return the moment of the next check. Raises when it does not answer."""
        if self._asked_at is not None:
            if now > self._asked_at + _PATIENCE:
                raise NoAnswer("the server did not answer a PING")
            return self._asked_at + _PATIENCE
        if now > self._heard_at + _SILENCE:
            wire.send(pack(("PING",)))
            self._asked_at = now
            return now + _PATIENCE
        return self._heard_at + _SILENCE

    def _pass_on(self, push: Reply) -> None:
        if isinstance(push, Refusal):
            raise push
        if push in _SUBSCRIBED:
            channels = self._looks.popleft()
            self._tell(zip(channels, self._look(channels), strict=True), was_there=True)
            self._looks_apart = False
        elif not isinstance(push, list):
            return  # the answer to another PING
        elif self._speaks_resp3 and type(push) is list:
            self._tell(zip(self._looks.popleft(), push, strict=True), was_there=True)
        elif push[0] == b"message":
            self._tell([(push[1].decode(), push[2])], was_there=False)

    def _tell(self, payloads: Iterable[tuple[str, bytes | None]], *, was_there: bool) -> None:
        with self._state_lock:
            for channel, payload in payloads:
                if payload is None or not self._is_wanted(payload):
                    continue
                for waiter in self._waiters.get(channel, ()):
                    waiter.heard[channel] = payload
                    waiter.was_there = waiter.was_there or was_there
                    waiter.call()
