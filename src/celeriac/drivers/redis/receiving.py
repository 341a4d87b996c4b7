"""How an engine gets messages: a claim by script, and a wait on bells while there are none."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from threading import get_ident
from typing import Final, cast

from celeriac.drivers.redis.bell import Bell, Bells, Watched, watched_of, watcher_of
from celeriac.drivers.redis.client import Client
from celeriac.drivers.redis.deliveries import delivery_of
from celeriac.drivers.redis.errors import DEPOSED, ConnectionLost, Refusal, WireError
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.lost_claims import LostClaim, LostClaims
from celeriac.drivers.redis.packing import Command, Packed, alone, packed
from celeriac.drivers.redis.revocations import Heard
from celeriac.drivers.redis.settling import Done
from celeriac.drivers.redis.waits import Wake, readable
from celeriac.drivers.redis.watcher import Watcher
from celeriac.drivers.redis.wire import Reply
from celeriac.exceptions import OperationalError
from celeriac.interfaces.broker import Delivery, Lease, Outgoing, Terms

__all__ = ["Receiver"]

_BEFORE: Final = alone("PING")  # see `Receiver.settle`; that it is refused is no matter
_MOST_WATCHED: Final = 100  # sets of queues, of which each order is one: an engine asks for its few in turn
_SETTLING: Final = "acknowledging messages"
_PER_CLAIM: Final = 1000  # messages; the script blocks the server while it runs

_TAG_LENGTH: Final = 57
"""Makes every tag longer than 64 bytes. With shorter ones Redis keeps a small sorted set as one flat list, which it
walks for each member: claim and acknowledgement in batches of 100 then cost it 9.0 us a message instead of 3.7."""


class Receiver:
    """Claims messages and waits for them. Thread-safe."""

    def __init__(self, client: Client, keys: Keys, visibility_timeout: float, heard: Heard) -> None:
        self._client = client
        self._keys = keys
        self._heard = heard
        self._visibility_timeout = visibility_timeout
        self._claims = itertools.count()
        self._salt = os.urandom(3).hex()
        self._lost_claims = LostClaims(client, keys, heard)
        self.unanswered = self._lost_claims.known
        """What earlier claims took whose answers never arrived: only `receive` finds that."""
        self._watched: dict[tuple[str, ...], Watched] = {}
        self._bells = Bells(client.pool, keys.delayed_names)
        self._waiting: dict[int, Wake] = {}  # by thread
        self._is_interrupted = False
        self._watcher: tuple[tuple[str, ...], Watcher] | None = None
        self._closings = 0
        self.is_at_rest = True
        """Whether a claim is likely to bring nothing: the last brought one message, or none."""

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> list[Delivery]:
        """See `Broker.receive`."""
        watched, until = self._watch(tuple(queues)), time.monotonic() + wait
        if self.unanswered and (found := self._recover(watched, terms)):
            return found
        if wait <= 0:
            return self._claim(watched, terms)
        closings, bell = self._closings, self._bells.take(watched)
        try:
            if not bell.tells_all:
                found = self._claim(watched, terms)
                if found:
                    return found
                bell.tells_all = True
            while True:
                found, is_called = self._wait(bell, watched, terms, until)
                if found or is_called or time.monotonic() >= until:
                    bell.tells_all = not found
                    return found
        finally:
            self._give(bell, closings)

    def ack_and_receive(
        self, tags: Sequence[str], queues: Sequence[str], terms: Terms
    ) -> tuple[Sequence[int], Sequence[Delivery]]:
        """See `Broker.ack_and_receive`; return the places of the tags that were lost, and what was taken."""
        watched = self._watch(tuple(queues))
        prefix = self._prefix(terms.owner)
        return self._ask(watched, self._command(watched, terms, prefix, tags), prefix, is_on_the_way=True)

    def settle_and_receive(
        self, done: Done, queues: Sequence[str], terms: Terms
    ) -> tuple[Sequence[int], Sequence[Delivery]]:
        """As `ack_and_receive`, with results and follow-ups."""
        watched = self._watch(tuple(queues))
        prefix = self._prefix(terms.owner)
        command = done.command(keys=watched.packed_keys, arguments=self._claiming(watched, terms, prefix))
        return self._ask(watched, command, prefix, done.kept, is_on_the_way=True)

    def settle(self, command: Command, queues: Sequence[str]) -> Sequence[int]:
        """Run a command that settles what a claim brought, and claim nothing; return the places of what was lost.

        Who waits for a result hears of it before we are answered: the server writes first to who was last to be
        written to, and by the PING that is who waits. Otherwise it wakes us, who take its processor to go on.
        """
        closings, bell = self._closings, self._bells.take(self._watch(tuple(queues)))
        try:
            _, places = bell.ask((_BEFORE, command))
            bell.tells_all = True
        except WireError as error:
            raise self._client.error(error, doing=_SETTLING) from error
        finally:
            self._give(bell, closings)
        if type(places) is Refusal:
            if places.code in DEPOSED:
                self._client.pool.doubt()
            if not places.is_unknown_script:
                raise self._client.error(places, doing=_SETTLING) from places
            places = self._client.one(command, doing=_SETTLING)
        return cast("Sequence[int]", places)

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:
        """See `Broker.watch`. Used by one thread."""
        names = tuple(queues)
        if self._watcher is None or self._watcher[0] != names:
            watched = watched_of(names, self._keys)
            self._watcher = (names, watcher_of(self._client.pool, watched, self._keys.delayed_names))
        watcher, until = self._watcher[1], time.monotonic() + wait
        while (now := time.monotonic()) < until:
            if watcher.tend() and watcher.sees_delayed:
                return True
            readable([watcher.socket], min(until, watcher.due) - now)
        return False

    def rely_on_watch(self) -> None:
        """See `Broker.rely_on_watch`."""
        self._bells.watch_themselves = False

    def interrupt(self) -> None:
        """End the wait of every thread that waits now, or the next wait. Takes no lock, so a signal handler may."""
        self._is_interrupted = True
        for wake in tuple(self._waiting.values()):
            wake.call()

    def close(self) -> None:
        """Close the connections; a `receive` in another thread returns empty."""
        self._closings += 1
        for wake in tuple(self._waiting.values()):
            wake.call()
        self._bells.close()

    def forget_parent(self) -> None:
        """Begin anew after a fork; tags of two processes must differ, and so must their wake-ups."""
        self._salt = os.urandom(3).hex()
        self._bells.close()
        self._waiting = {}
        self._watcher = None
        self._lost_claims.forget()

    def _watch(self, names: tuple[str, ...]) -> Watched:
        known = self._watched.get(names)
        if known is None:
            known = watched_of(names, self._keys)
            if len(self._watched) >= _MOST_WATCHED:
                self._watched.clear()
            self._watched[names] = known
        return known

    def _give(self, bell: Bell, closings: int) -> None:
        if self._closings == closings:
            self._bells.give(bell)
        else:
            bell.drop()
            self._client.pool.close()  # ending a wait may have opened a connection after `close`

    def _wait(self, bell: Bell, watched: Watched, terms: Terms, until: float) -> tuple[list[Delivery], bool]:
        """Wait once; return what was claimed then, and whether the wait was interrupted."""
        prefix = self._prefix(terms.owner)
        self._listen(bell.wake)
        try:
            if self._is_interrupted:
                self._is_interrupted = False
                return [], True
            if not watched.names:
                return [], bool(readable([bell.wake.receiver], until - time.monotonic()))
            reply, is_called = bell.wait(self._command(watched, terms, prefix), until)
        except WireError as error:
            self._note_lost(error, watched, prefix)
            raise self._client.error(error, doing=watched.doing) from error
        finally:
            self._waiting.pop(get_ident(), None)
        if is_called:
            self._is_interrupted = False
        if type(reply) is Refusal:
            raise self._client.error(reply, doing=watched.doing) from reply
        return self._taken(reply, watched, prefix) if reply else [], is_called

    def _listen(self, wake: Wake) -> None:
        """Let `interrupt` find the wait. What it said before is in the flag, what it says after comes as a call."""
        self._waiting[get_ident()] = wake
        wake.forget()

    def _claim(self, watched: Watched, terms: Terms) -> list[Delivery]:
        prefix = self._prefix(terms.owner)
        return self._ask(watched, self._command(watched, terms, prefix), prefix)[1]

    def _ask(
        self,
        watched: Watched,
        command: Command,
        prefix: str,
        kept: Outgoing | None = None,
        *,
        is_on_the_way: bool = False,
    ) -> tuple[Sequence[int], list[Delivery]]:
        """Run a claim; return the places of what was lost of what it acknowledges, and what was taken.

        One `is_on_the_way` does something else before: a wait that follows need not look first.
        """
        try:
            reply = self._client.one(command, doing=watched.doing)
        except OperationalError as error:
            self._note_lost(error.__cause__, watched, prefix)
            raise
        found = self._taken(reply, watched, prefix, kept)
        if is_on_the_way:
            self._trust_bells(watched, are_true=not found)
        return reply[0], found

    def _trust_bells(self, watched: Watched, *, are_true: bool) -> None:
        bell = self._bells.take(watched)
        bell.tells_all = are_true
        self._bells.give(bell)

    def _taken(self, reply: Reply, watched: Watched, prefix: str, kept: Outgoing | None = None) -> list[Delivery]:
        """Return what a claim took; what was lost of what it acknowledged, and a number, come before in its answer.

        It gives no envelope of what was kept, see settle.lua.
        """
        self.is_at_rest = True
        if len(reply) == 1:
            return []
        if reply[1] is not None:
            self._heard.note(reply[1])
        found: list[Delivery] = []
        number = 0
        for place, step, *envelopes in reply[2:]:
            if not place and kept is not None:
                lease = Lease(kept.route.queue, f"{prefix}1:{step.decode()}")
                found.append(Delivery(lease, kept.message, kept.priority))
                continue
            queue, suffix = watched.names[place - 1], f":{step.decode()}"
            for raw in envelopes:
                number += 1
                found.append(delivery_of(Lease(queue, f"{prefix}{number}{suffix}"), raw))
        self.is_at_rest = number <= 1
        return found

    def _note_lost(self, error: BaseException | None, watched: Watched, prefix: str) -> None:
        if isinstance(error, ConnectionLost) and error.asker is not None:
            self._lost_claims.note(LostClaim(prefix, watched.names, error.asker))

    def _recover(self, watched: Watched, terms: Terms) -> list[Delivery]:
        now, held = "" if self._client.has_system_clock else self._client.now(), terms.lease - self._visibility_timeout
        return self._lost_claims.recover(watched.names, limit=min(terms.limit, _PER_CLAIM), now=now, lease=held)

    def _prefix(self, owner: str) -> str:
        number = f"{self._salt}{next(self._claims):x}".rjust(_TAG_LENGTH - len(owner), "0")
        return f"cel:{owner}:{number}."

    def _command(self, watched: Watched, terms: Terms, prefix: str, done: Sequence[str] = ()) -> Command:
        wanted = self._claiming(watched, terms, prefix)
        return (watched.claim_with, str(len(done)), *done, *wanted) if done else (watched.claim, *wanted)

    def _claiming(self, watched: Watched, terms: Terms, prefix: str) -> tuple[str | Packed, ...]:
        """Return what _claim.lua wants. The server may run it seconds later, so it takes the time itself if it can."""
        limit, lease = min(terms.limit, _PER_CLAIM), terms.lease - self._visibility_timeout
        if self._client.has_system_clock:
            return (_terms(limit, terms.freely, lease), prefix, watched.told)
        return (str(limit), str(terms.freely), str(self._client.now()), str(lease), prefix, watched.told)


@lru_cache(maxsize=1000)
def _terms(limit: int, freely: int, lease: float) -> Packed:
    """Return how many are claimed and for how long, as _claim.lua wants it where the server tells the time."""
    return packed(str(limit), str(freely), "", str(lease))
