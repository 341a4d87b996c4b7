"""Claims whose answers never arrived: what they took comes with the next claim instead of at the end of its lease."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sized
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from celeriac.drivers.redis.client import Client, call_script
from celeriac.drivers.redis.deliveries import delivery_of
from celeriac.drivers.redis.errors import Asker, Refusal
from celeriac.drivers.redis.keys import Keys
from celeriac.drivers.redis.packing import Command
from celeriac.drivers.redis.revocations import Heard
from celeriac.drivers.redis.scripts import RECOVER
from celeriac.interfaces.broker import Delivery, Lease

__all__ = ["LostClaim", "LostClaims"]

_KEPT: Final = 100  # claims; a process has a connection or two that can lose one


class LostClaim(Struct, frozen=True):
    """A claim that the server may have carried out, or may yet carry out, for nobody.

    Its tags begin with `prefix` and go on with a number, the first of which is still to come for us is `first`.
    """

    prefix: str
    queues: tuple[str, ...]
    asker: Asker
    first: int = 1


class LostClaims:
    """Those of one process. Thread-safe: each is worked on by one thread at a time."""

    def __init__(self, client: Client, keys: Keys, heard: Heard) -> None:
        self._client = client
        self._keys = keys
        self._heard = heard
        self._claims: deque[LostClaim] = deque(maxlen=_KEPT)
        self.known: Final[Sized] = self._claims
        """Empty while there are none, which is asked at each claim."""

    def note(self, claim: LostClaim) -> None:
        self._claims.append(claim)

    def recover(self, queues: Collection[str], *, limit: int, now: str | float, lease: float) -> list[Delivery]:
        """Return what one of them took from these queues, held anew; empty when none took anything.

        `now` and `lease` are those of claim.lua. Raises `BrokerError`; the claim is then kept for the next time.
        """
        for _ in range(len(self._claims)):
            try:
                claim = self._claims.popleft()
            except IndexError:  # another thread has it
                break
            if not set(claim.queues) <= set(queues):
                self._claims.append(claim)
                continue
            try:
                found = self._look(claim, limit, now, lease)
            except BaseException:
                self._claims.append(claim)
                raise
            if len(found) >= limit:
                self._claims.append(replace(claim, first=claim.first + len(found)))
            if found:
                return found
        return []

    def forget(self) -> None:
        """Leave them to somebody else: after a fork, to the parent."""
        self._claims.clear()

    def _look(self, claim: LostClaim, limit: int, now: str | float, lease: float) -> list[Delivery]:
        keys = (self._keys.unacked, self._keys.unacked_index)
        steps = self._keys.steps
        tails = (self._keys.queue(name).tail for name in claim.queues)
        held = (claim.prefix, claim.first, limit, now, lease)
        look = call_script(RECOVER, keys, (*held, len(steps), *steps, *tails))
        commands: list[Command] = [look, ("GET", self._keys.revoked_newest)]
        if claim.asker.address:
            # First of all it must not be carried out any more. Client numbers begin anew when a server restarts, so
            # the number alone might be another's by now. That there is no such client any more is told as a count.
            commands.insert(0, ("CLIENT", "KILL", "ID", claim.asker.number, "ADDR", claim.asker.address))
        doing = f"receiving from {', '.join(claim.queues)}"
        *_, reply, newest = self._client.every(commands, doing=doing)
        if isinstance(reply, Refusal):
            raise self._client.error(reply, doing=doing) from reply
        if not isinstance(newest, Refusal):
            self._heard.note(newest)
        return [
            delivery_of(Lease(claim.queues[place - 1], f"{claim.prefix}{number}:{step.decode()}"), raw)
            for number, step, place, raw in reply
        ]
