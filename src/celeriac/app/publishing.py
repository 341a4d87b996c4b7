"""Handing messages to the broker within a bounded time, whatever the broker does."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, repeat
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from celeriac.app.gathering import Carry, Gathering
from celeriac.clock import Clock
from celeriac.exceptions import BrokerError, SendIncomplete
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import Broker, Nonce, Outgoing
from celeriac.types import Seconds

_CELERY_ONLY: Final = frozenset({"callback", "errback", "retry_errors", "timeout"})
"""Names of Celery's retry policies that have no meaning here: accepted, and without effect."""

_SMALL: Final = 65_536
"""Bytes of a body up to which a message shares its round trip: others must not wait for a large one, or fail by it."""

_GRACE: Final = 30.0
"""Seconds by which the last try of a send may outlast its budget: the timeouts of a store's own."""

_Pause: TypeAlias = Annotated[Seconds, Meta(ge=0, le=86400)]


class PublishPolicy(Struct, frozen=True):
    """How a failed send is tried again: Celery's names, seconds. `budget` bounds all tries together."""

    max_retries: Annotated[int, Meta(ge=0)] | None = 3
    interval_start: _Pause = 0.0
    interval_step: _Pause = 0.2
    interval_max: _Pause = 1.0
    budget: _Pause = 4.0

    def pause(self, attempt: int) -> Seconds:
        """Return the seconds to wait after the failed attempt (counted from 0)."""
        return min(self.interval_max, self.interval_start + attempt * self.interval_step)


def _new_sender() -> Iterator[Nonce]:
    """Return the numbers of a sender, for one send after the other."""
    return map(Nonce, repeat(os.urandom(8).hex()), count(1))


class _Trip(Struct):
    """One send on its way: what the broker has not yet, its places in the whole, and when it must be done."""

    left: Sequence[Outgoing]
    places: Sequence[int]
    total: int
    policy: PublishPolicy
    sender: Iterator[Nonce]
    nonce: Nonce
    ends: float

    def keep(self, unsent: Sequence[int]) -> None:
        """Go on with the messages at these positions of `left`: another send, for these were refused."""
        self.places = [self.places[position] for position in unsent]
        self.left = [self.left[position] for position in unsent]
        self.nonce = next(self.sender)


class Publisher:
    """Sends to the broker, and tries again. Thread-safe. A forked child sends under names of its own."""

    def __init__(self, broker: Callable[[], Broker], *, policy: PublishPolicy, clock: Clock) -> None:
        self._broker = broker
        self._default = policy
        self._clock = clock
        self._idle: deque[Iterator[Nonce]] = deque()
        self._gathering = Gathering(self._send, self._begin, longest=policy.budget + _GRACE)
        after_fork_in_child(self)

    def forget_parent(self) -> None:
        self._idle = deque()

    @property
    def budget(self) -> Seconds:
        """How long a send takes at most in all, unless its caller says otherwise."""
        return self._default.budget

    @property
    def most_urgent(self) -> Literal["lowest", "highest"]:
        """Which end of the priorities the broker serves first."""
        return self._broker().capabilities.most_urgent

    def check_queue(self, name: str) -> None:
        """Raise `ImproperlyConfigured` when the broker can have no queue of this name. Nothing is sent."""
        self._broker().check_queue(name)

    def policy(self, *, retry: bool | None, changes: Mapping[str, Any] | None) -> PublishPolicy:
        """Return the default policy with the caller's changes. Raises ValueError for one that cannot be."""
        if retry is False:
            return msgspec.structs.replace(self._default, max_retries=0)
        wanted = {name: value for name, value in (changes or {}).items() if name not in _CELERY_ONLY}
        unknown = wanted.keys() - set(PublishPolicy.__struct_fields__)
        if unknown:
            known = ", ".join(PublishPolicy.__struct_fields__)
            raise ValueError(f"retry_policy={changes!r} has unknown names; known: {known}.")
        if any(value != value for value in wanted.values()):  # noqa: PLR0124  nan alone is not equal to itself
            raise ValueError(f"retry_policy={changes!r} cannot be used: nan is no number of seconds.")
        try:
            return msgspec.convert({**msgspec.structs.asdict(self._default), **wanted}, PublishPolicy)
        except msgspec.ValidationError as error:
            raise ValueError(f"retry_policy={changes!r} cannot be used: {error}") from error

    def send(self, outgoing: Sequence[Outgoing], *, policy: PublishPolicy | None = None, in_task: bool = False) -> None:
        """Return when the broker has all of them. Threads that send one message each share a round trip.

        With `in_task`, where a soft time limit may break in at any moment, it goes alone.

        Raises `BrokerError` kin after the policy's last try, within its budget: `SendIncomplete` when the broker has
        some of them.
        """
        if policy is None and not in_task and len(outgoing) == 1 and len(outgoing[0].message.body) <= _SMALL:
            self._gathering.send(outgoing[0])
        else:
            self._send(outgoing, policy or self._default)

    def _send(self, outgoing: Sequence[Outgoing], policy: PublishPolicy | None = None) -> None:
        self._carry(self._trip(outgoing, policy or self._default))

    def _begin(self, outgoing: Sequence[Outgoing]) -> Carry:
        return partial(self._carry, self._trip(outgoing, self._default))

    def _trip(self, outgoing: Sequence[Outgoing], policy: PublishPolicy) -> _Trip:
        # Not one for each thread: a send may be broken off by another in the same thread, as by a signal's handler.
        try:
            sender = self._idle.pop()
        except IndexError:
            sender = _new_sender()
        places, ends = range(len(outgoing)), self._clock.monotonic() + policy.budget
        return _Trip(outgoing, places, len(outgoing), policy, sender, next(sender), ends)

    def _carry(self, trip: _Trip) -> None:
        """Make the send; again after it was broken off, if somebody wants to, so its sender is not free then."""
        policy = trip.policy
        attempt = 0
        while True:
            failure: BrokerError
            try:
                self._broker().send(trip.left, nonce=trip.nonce)
            except SendIncomplete as error:
                trip.keep(error.unsent)
                failure = error
            except BrokerError as error:
                failure = error
            else:
                self._idle.append(trip.sender)
                return
            pause = policy.pause(attempt)
            attempt += 1
            exhausted = policy.max_retries is not None and attempt > policy.max_retries
            if exhausted or failure.is_for_good or self._clock.monotonic() + pause >= trip.ends:
                self._idle.append(trip.sender)
                raise self._failure(failure, trip, attempt)
            self._clock.sleep(pause)

    def _failure(self, error: BrokerError, trip: _Trip, attempts: int) -> BrokerError:
        tries = "1 try" if attempts == 1 else f"{attempts} tries"
        told = f"Not sent to {self._broker().location} after {tries}: {error}"
        failure = (
            SendIncomplete(told, unsent=trip.places)
            if len(trip.left) < trip.total or isinstance(error, SendIncomplete)
            else type(error)(told)
        )
        failure.__cause__ = error.__cause__  # of `error` all is told
        return failure
