"""Sends of several threads that are made at the same time share a round trip (ADR 0008)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Final, TypeAlias

from celeriac.exceptions import BrokerError, EncodeError, ImproperlyConfigured, SendIncomplete
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import Outgoing
from celeriac.types import Seconds

_MOST: Final = 100
"""Messages in one round trip."""
_PATIENCE: Final = 0.05
"""Seconds that a thread waits for the send of another; then the broker is slow, and each goes its own way."""

_LEAVING: Final = 1.0
"""Seconds that a thread which was broken off stays to hear whether it was to send for others."""

Carry: TypeAlias = Callable[[], None]
"""Makes a send. One that was broken off may be made again: the broker stores it once."""


class _Waiting:
    """A thread that waits with a message. Whoever has the `claim` decides what becomes of it; `told` ends the wait."""

    __slots__ = ("_claimed", "alone", "batch", "error", "is_over", "outgoing", "told")

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing
        self._claimed: dict[str, object] = {}
        self.told = threading.Lock()
        self.told.acquire()
        self.batch: _Batch | None = None
        """To be sent by this thread."""
        self.is_over = False
        """What becomes of the message is known; `alone` or `error` say more."""
        self.alone = False
        self.error: BrokerError | None = None

    def claim(self, by: object) -> bool:
        """Tell whether it is `by` who decides; the first who asks does."""
        return self._claimed.setdefault("by", by) is by


class _Batch:
    """Messages that go out together. `carry` is None until they have set out, `is_done` is True when they are there."""

    __slots__ = ("carry", "is_done", "members")

    def __init__(self, members: list[_Waiting]) -> None:
        self.members = members
        self.carry: Carry | None = None
        self.is_done = False

    def tell(self, me: _Waiting) -> None:
        """End the waits of all but `me`."""
        members = self.members
        while members:
            each = members[-1]
            del members[-1]
            if each is not me:
                each.is_over = True
                each.told.release()


class _Turn:
    """Who sends, and who waits. `trip` is held by the thread that sends, or was told to; `leader` is its ident, else 0.

    An exception that is set from outside (a soft time limit in a thread pool) may break off any step here after a call,
    but not between plain assignments; the step is then done again, so each can be: who is `drawn` stays so until
    handed on, and a claim can be repeated.
    """

    __slots__ = ("drawn", "leader", "trip", "waiting")

    def __init__(self) -> None:
        self.trip = threading.Lock()
        self.waiting: deque[_Waiting] = deque()
        self.drawn: list[_Waiting] = []
        self.leader = 0

    def add_to(self, batch: _Batch) -> None:
        """Put into the batch who waits by now; called by who holds `trip`."""
        free = _MOST - len(batch.members)
        while self.waiting and len(self.drawn) < free:
            first = self.waiting.popleft()
            self.drawn.append(first)
        members = [*batch.members, *(each for each in self.drawn if each.claim(self))]
        batch.members = members
        self.drawn = []

    def pass_on(self) -> None:
        """Let the first of those who wait send for all of them; called by who holds `trip`."""
        if not self.waiting and not self.drawn:
            self.leader = 0
            self.trip.release()
            if not self.waiting or not self.trip.acquire(blocking=False):
                return
        holds = [True]
        try:
            self._pass_on(holds)
        except BaseException:
            if holds[0]:
                self._pass_on(holds)
            raise

    def _pass_on(self, holds: list[bool]) -> None:
        self.leader = 0
        while True:
            while self.waiting and len(self.drawn) < _MOST:
                first = self.waiting.popleft()
                self.drawn.append(first)
            batch = _Batch([each for each in self.drawn if each.claim(self)])
            if batch.members:
                heir = batch.members[0]
                heir.batch = batch
                self.drawn, holds[0] = [], False
                heir.told.release()
                return
            self.drawn, holds[0] = [], False
            self.trip.release()
            # Who came since then has found the trip free; who came before that must be looked after here.
            if not self.waiting or not self.trip.acquire(blocking=False):
                return
            holds[0] = True


class Gathering:
    """Sends at once while nobody else does; what comes meanwhile gathers, and one of those who wait sends it all.

    Each caller returns when the broker has its message, or has an error of its own. Thread-safe. What waits when a
    process forks stays the parent's. The main thread waits for nobody, and sends for nobody else: it is where signals'
    handlers run, which may send too, and would wait for the very thread that they hold up. A send that another thread
    has taken along counts as lost after `longest` seconds.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Outgoing]], None],
        begin: Callable[[Sequence[Outgoing]], Carry],
        *,
        longest: Seconds,
    ) -> None:
        self._send = send
        self._begin = begin
        self._longest = longest
        self._turn = _Turn()
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        self._turn = _Turn()

    def send(self, outgoing: Outgoing) -> None:
        """Return when the broker has the message. Raises what `send` of one message raises."""
        turn = self._turn
        if turn.trip.acquire(blocking=False):
            try:
                turn.leader = get_ident()
                self._send((outgoing,))
            finally:
                turn.pass_on()
        elif get_ident() == threading.main_thread().ident:
            self._send((outgoing,))
        else:
            self._join(turn, _Waiting(outgoing))

    def _join(self, turn: _Turn, me: _Waiting) -> None:
        try:
            turn.waiting.append(me)
            if turn.trip.acquire(blocking=False):  # the send under way has ended, perhaps without seeing this one
                turn.pass_on()
            is_told = self._is_told(me)
            if me.batch is not None:
                self._lead(turn, me, me.batch)
        except BaseException:
            try:
                _leave(turn, me)
            except BaseException:
                _leave(turn, me)
                raise
            raise
        if not is_told and not turn.leader and self._turn is turn:
            self._turn = _Turn()  # whoever had the trip was broken off before it could begin
        if me.alone or not is_told:
            self._send((me.outgoing,))
        elif me.error is not None:
            raise me.error

    def _is_told(self, me: _Waiting) -> bool:
        """Return True when told how it went or what to do, False when nobody has taken the message."""
        if me.told.acquire(timeout=_PATIENCE):
            return True
        if me.claim(me):
            return False
        if me.told.acquire(timeout=self._longest):
            return True
        raise BrokerError("The thread that took this message along has not come back; it may have been stored.")

    def _lead(self, turn: _Turn, me: _Waiting, batch: _Batch) -> None:
        """Send the batch and tell everyone but oneself what became of it."""
        turn.leader = get_ident()
        if batch.carry is None:
            turn.add_to(batch)
            batch.carry = self._begin([each.outgoing for each in batch.members])
        _carry(batch)
        batch.is_done = True
        _conclude(turn, me, batch)


def _conclude(turn: _Turn, me: _Waiting, batch: _Batch) -> None:
    batch.tell(me)
    turn.leader, me.batch = 0, None
    turn.pass_on()


def _leave(turn: _Turn, me: _Waiting) -> None:
    """Wait no longer. What this thread has to send for others, another must: the same send, if it has set out."""
    if me.batch is None and not me.is_over and not me.claim(me):
        me.told.acquire(timeout=_LEAVING)
    batch = me.batch
    if batch is None:
        return
    if batch.is_done:
        _conclude(turn, me, batch)
        return
    if batch.carry is None:
        heirs = batch.members = [each for each in batch.members if each is not me]
    else:
        heirs = batch.members[batch.members.index(me) + 1 :]
    turn.leader = 0
    if heirs:
        heir = heirs[0]
        me.batch, heir.batch = None, batch
        heir.told.release()
    else:
        me.batch = None
        turn.pass_on()


def _carry(batch: _Batch) -> None:
    """Make the send, and note with each member what became of it."""
    assert batch.carry is not None
    try:
        batch.carry()
    except SendIncomplete as error:
        for position in error.unsent:  # the store has it not for sure; alone it gets an error that is its own
            batch.members[position].alone = True
    except BrokerError as error:
        for each in batch.members:
            each.error = _own(error)
    except (EncodeError, ImproperlyConfigured):  # one of them cannot be written or routed, so none was sent
        for each in batch.members:
            each.alone = True


def _own(error: BrokerError) -> BrokerError:
    """Return the error for one of several threads: a traceback grows with each that raises it."""
    own = type(error)(str(error))
    own.__cause__ = error.__cause__
    return own
