"""Hearing of results: one connection that listens for all threads of a process that wait.

Whoever waits first leads: it alone reads and writes the connection, for itself and for the others, who sleep. So one
waiting thread is woken by the server's own message, with no other thread between, and a thousand need no more
sockets. When the leader has what it wants, another who still waits takes the lead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

from celeriac.drivers.redis.connections import Pool
from celeriac.drivers.redis.errors import ConnectionLost, NoAnswer, Refusal, WireError
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.wire import Command, Reply, Wire, pack, pack_all

__all__ = ["Ear"]

_SILENCE: Final = 10.0  # seconds without a word until the server is asked whether it is there
_PATIENCE: Final = 5.0  # seconds for its answer
_LINGER: Final = 1.0  # seconds that a channel stays subscribed after its last waiter: most come back for the rest


class _Waiter:
    """A thread that waits for some channels. Its fields, but for `event`, are guarded by the ear's lock."""

    __slots__ = ("channels", "error", "event", "heard", "is_looked_for", "must_look", "unconfirmed", "was_there")

    def __init__(self, channels: Iterable[str]) -> None:
        self.channels = frozenset(channels)
        self.unconfirmed: set[str] = set()
        self.must_look = False
        """Every channel is confirmed, and what came before that moment was not heard."""
        self.is_looked_for = False
        """What came before is looked for by the leader, right behind the subscription."""
        self.was_there = False
        """What was heard was found by that look."""
        self.heard: dict[str, bytes] = {}
        self.error: BaseException | None = None
        self.event = threading.Event()


class Ear:
    """Waits for messages on channels. Thread-safe; raises `WireError`."""

    def __init__(self, pool: Pool, is_wanted: Callable[[bytes], bool]) -> None:
        self._pool = pool
        self._is_wanted = is_wanted
        self._begin()

    @property
    def looks_itself(self) -> bool:
        """Whether a wait takes no look before: it comes with the subscription, which needs RESP3."""
        return self._speaks_resp3

    def _begin(self) -> None:
        self._speaks_resp3 = True  # until the server or a proxy refuses it
        self._looks: deque[list[str]] = deque()  # the leader's: channels whose contents were asked for
        self._wake = Wake()
        self._wire: Wire | None = None  # the leader's alone, as the next three
        self._heard_at = 0.0
        self._asked_at: float | None = None
        self._asked_for: set[str] = set()
        self._state_lock = threading.Lock()
        self._leader: _Waiter | None = None
        self._waiters: dict[str, set[_Waiter]] = {}
        self._confirmed: set[str] = set()
        self._idle_since: dict[str, float] = {}  # the one left longest ago first

    def wait(
        self, channels: Iterable[str], *, until: float, look: Callable[[], dict[str, bytes]]
    ) -> tuple[dict[str, bytes], bool]:
        """Return what was heard, or what was there once all channels were subscribed; empty at `until`.

        `until` is a moment of `time.monotonic`. `look` reads what is there, where the ear does not. Tell also whether
        it was there from the beginning.
        """
        waiter = _Waiter(channels)
        self._join(waiter)
        try:
            while True:
                must_look, heard = self._news(waiter)
                if must_look:
                    heard = look()
                if heard or time.monotonic() >= until:
                    return heard, must_look or waiter.was_there
                if self._take_lead(waiter):
                    self._lead(waiter, until)
                else:
                    waiter.event.wait(max(0.0, until - time.monotonic()))
        finally:
            self._leave(waiter)

    def close(self) -> None:
        """Have all who wait raise, and close the connection."""
        self._fail(ConnectionLost("the connection was closed"))
        with self._state_lock:
            is_led = self._leader is not None
        if is_led:
            self._wake.call()  # the leader closes it, as it raises
        else:
            self._drop()

    def forget_parent(self) -> None:
        """Begin anew after a fork."""
        if self._wire is not None:
            self._wire.close()
        self._wake.close()
        self._begin()

    # What waiters do, under the lock

    def _join(self, waiter: _Waiter) -> None:
        with self._state_lock:
            for channel in waiter.channels:
                self._waiters.setdefault(channel, set()).add(waiter)
                self._idle_since.pop(channel, None)
            waiter.unconfirmed = set(waiter.channels - self._confirmed)
            waiter.is_looked_for = self._speaks_resp3 and len(waiter.unconfirmed) == len(waiter.channels)
            waiter.must_look = not waiter.unconfirmed
            is_led = self._leader is not None
        if is_led:
            self._wake.call()

    def _leave(self, waiter: _Waiter) -> None:
        now = time.monotonic()
        with self._state_lock:
            for channel in waiter.channels:
                others = self._waiters[channel]
                others.discard(waiter)
                if not others:
                    del self._waiters[channel]
                    self._idle_since[channel] = now
            self._call_another()

    def _news(self, waiter: _Waiter) -> tuple[bool, dict[str, bytes]]:
        with self._state_lock:
            waiter.event.clear()
            if waiter.error is not None:
                raise waiter.error
            must_look, waiter.must_look = waiter.must_look, False
            heard, waiter.heard = waiter.heard, {}
            return must_look and not heard, heard

    def _take_lead(self, waiter: _Waiter) -> bool:
        with self._state_lock:
            if self._leader is None:
                self._leader = waiter
            return self._leader is waiter

    def _call_another(self) -> None:
        """Wake someone who waits, so that he takes the lead when nobody has it. The lock is held."""
        if self._leader is None and self._waiters:
            next(iter(next(iter(self._waiters.values())))).event.set()

    def _fail(self, error: BaseException) -> None:
        with self._state_lock:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.error = error
                    waiter.event.set()

    # What the leader does

    def _lead(self, waiter: _Waiter, until: float) -> None:
        """Serve the connection until there is news for the leader itself, or `until`."""
        try:
            while not waiter.event.is_set() and time.monotonic() < until:
                try:
                    self._serve(until)
                except ConnectionLost:
                    self._drop()  # and connect again at once; what was published meanwhile is found by looking
                    self._connect()
        except WireError as error:
            self._drop()
            self._fail(error)
        except BaseException:
            self._drop()
            raise
        finally:
            with self._state_lock:
                self._leader = None
            if waiter.error is not None:
                self._drop()

    def _serve(self, until: float) -> None:
        """Subscribe to what is wanted and pass on what arrives; return when something arrived or time is up."""
        wire = self._wire or self._connect()
        self._subscribe(wire)
        if not wire.has_answer():
            now = time.monotonic()
            moment = self._check_pulse(wire, now)
            ready = readable([wire.socket, self._wake.receiver], min(until, moment) - now)
            if self._wake.receiver in ready:
                self._wake.hear()
        while wire.has_answer():
            self._heard_at, self._asked_at = time.monotonic(), None
            self._pass_on(wire.read())

    def _connect(self) -> Wire:
        wire = self._wire = self._open()
        self._heard_at, self._asked_at = time.monotonic(), None
        return wire

    def _open(self) -> Wire:
        if self._speaks_resp3:
            try:
                wire = self._pool.open(resp3=True)
            except WireError:
                plain = self._pool.open()  # when the server is away, it is this that fails
                self._end_resp3()
                return plain
            wire.reads_pushes = True
            return wire
        return self._pool.open()

    def _end_resp3(self) -> None:
        self._speaks_resp3 = False
        with self._state_lock:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.is_looked_for = False

    def _drop(self) -> None:
        self._looks.clear()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        self._asked_for.clear()
        with self._state_lock:
            self._confirmed.clear()
            self._idle_since.clear()
            for channel, waiters in self._waiters.items():
                for waiter in waiters:
                    waiter.unconfirmed.add(channel)
                    waiter.must_look = False
                    waiter.is_looked_for = self._speaks_resp3

    def _subscribe(self, wire: Wire) -> None:
        late = time.monotonic() - _LINGER
        with self._state_lock:
            wanted = self._waiters.keys() - self._asked_for
            # Oldest first, so that thousands that were left just now are not looked through each time.
            idle = [channel for channel, _ in takewhile(lambda entry: entry[1] < late, self._idle_since.items())]
            for channel in idle:
                del self._idle_since[channel]
                self._confirmed.discard(channel)
        commands: list[Command] = []
        if idle:
            commands.append(("UNSUBSCRIBE", *idle))
        if wanted:
            commands.append(("SUBSCRIBE", *wanted))
            if self._speaks_resp3:
                commands.append(("MGET", *wanted))
                self._looks.append(list(wanted))
        self._asked_for.difference_update(idle)
        self._asked_for.update(wanted)
        if commands:
            wire.send(pack_all(commands))

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
        if self._speaks_resp3 and type(push) is list:
            self._found(self._looks.popleft(), push)
            return
        if not isinstance(push, list):
            return  # the answer to a PING while nothing is subscribed
        kind, channel = push[0], push[1].decode()
        if kind == b"message" and self._is_wanted(push[2]):
            with self._state_lock:
                for waiter in self._waiters.get(channel, ()):
                    waiter.heard[channel] = push[2]
                    waiter.event.set()
        elif kind == b"subscribe":
            with self._state_lock:
                self._confirmed.add(channel)
                for waiter in self._waiters.get(channel, ()):
                    waiter.unconfirmed.discard(channel)
                    if not waiter.unconfirmed and not waiter.is_looked_for:
                        waiter.must_look = True
                        waiter.event.set()

    def _found(self, channels: Sequence[str], payloads: Sequence[bytes | None]) -> None:
        """Pass on what was there when the channels had been subscribed."""
        with self._state_lock:
            for channel, payload in zip(channels, payloads, strict=True):
                if payload is None or not self._is_wanted(payload):
                    continue
                for waiter in self._waiters.get(channel, ()):
                    waiter.heard[channel] = payload
                    waiter.was_there = True
                    waiter.event.set()
