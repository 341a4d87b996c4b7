"""The contract of a broker: it keeps messages until each was settled by the one who holds its lease."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from celeriac.interfaces.results import ResultRecord
from celeriac.routing.queues import QueueSpec, Route
from celeriac.wire.message import Message, Unreadable

FAIR_SHARE: Final = 4
"""Who receives leaves others what is beyond a fourth of the ready messages, see `Terms`."""

__all__ = [
    "Broker",
    "BrokerCapabilities",
    "Delivery",
    "Lease",
    "Nonce",
    "Outgoing",
    "QueueSpec",
    "QueueStats",
    "Route",
    "Terms",
    "Upkeep",
]


class Outgoing(Struct, frozen=True):
    """A message to send.

    `priority` is the user's number, 0 to 9, which the store reads its own way (see `BrokerCapabilities.most_urgent`).
    `not_before` (UTC epoch seconds) keeps it from being received before that moment; None sends it at once.
    """

    route: Route
    message: Message
    priority: int | None = None
    not_before: float | None = None


class Nonce(Struct, frozen=True):
    """Tells a send from others, so that a store can see that it is repeated.

    The numbers of a `sender` grow, and it makes one send at a time: what has no larger number than the last one was
    stored, or was given up by its caller.
    """

    sender: str
    number: int


class Lease(Struct, frozen=True, gc=False):
    """The right to settle one delivery: a fenced handle that may go to another process.

    `tag` is the store's own; a message that is delivered again gets another tag, so a holder that lost its lease
    can settle nothing.
    """

    queue: str
    tag: str


class Terms(Struct, frozen=True, gc=False):
    """How much somebody receives, and how it is held: up to `limit` messages for `lease` seconds, as those of `owner`.

    More than `freely` are taken only up to a quarter of what is ready in the queues that are asked, rounded up: the
    rest is for others, so that all who serve a queue have work until its end.

    With `waits`, an `ack_and_receive` that brings nothing is followed by a `receive` of the same queues that waits: a
    store may leave it at the acknowledgement.
    """

    limit: int
    lease: float
    owner: str
    freely: int = sys.maxsize
    waits: bool = False

    def share_of(self, ready: int) -> int:
        """Return how many may be taken where so many are ready."""
        return min(self.limit, max(self.freely, -(-ready // FAIR_SHARE)))


class Delivery(Struct, frozen=True, gc=False):
    """A message that was received and is held.

    `message` is `Unreadable` when the store holds bytes that are no message; the core rejects it with the reason.
    `redelivered` is True when a holder died, or lost its lease, while it had this message; where the store cannot tell
    that from giving back (`BrokerCapabilities.tells_deaths`), it may mean either. `crashes` is how often a holder died
    that had said that it runs it (see `Broker.brace`); None where the store does not count.
    """

    lease: Lease
    message: Message | Unreadable
    priority: int | None = None
    redelivered: bool = False
    crashes: int | None = None


class Upkeep(Struct, frozen=True):
    """What one round of upkeep did.

    `promoted` delayed messages became due, `reclaimed` came back from holders whose lease ran out. `next_due` is the
    moment (UTC epoch seconds) of the earliest thing that is still waiting, None when nothing waits. `leaves_delayed`
    says that some messages are delayed still, where `BrokerCapabilities.needs_watch`.
    """

    promoted: int = 0
    reclaimed: int = 0
    next_due: float | None = None
    leaves_delayed: bool = False


class QueueStats(Struct, frozen=True):
    """How a queue stands. `oldest_age` is in seconds, None when nothing is ready or the store cannot tell.

    `delayed` and `leased` are None when the store cannot tell.
    """

    ready: int = 0
    delayed: int | None = 0
    leased: int | None = 0
    dead: int = 0
    oldest_age: float | None = None


class BrokerCapabilities(Struct, frozen=True):
    """What a store can do; the core reads it and fills each gap in one place.

    `leases`: deliveries are leased for a time and `extend` renews them; False: they live as long as the connection.
    `max_delay`: the longest `Outgoing.not_before` from now that the store keeps by itself, in seconds; 0 for none.
    `priorities`: how many levels it tells apart; 1 for none. `most_urgent`: which end of 0..9 is served first.
    `dead_letters`: `reject` keeps the message. `max_batch`: the most messages that one round trip carries; the
    driver splits larger batches. `max_message_bytes`: None for no limit. `needs_watch`: see `Broker.watch`.
    `atomic_follow_ups`: `ack` stores the
    follow-ups and removes the delivery in one step. `stores_results`: and so the results of its own `ResultBackend`,
    which `ack` and `ack_and_receive` take along. `shared`: other processes see the same messages. `tells_deaths`:
    a message of a holder that died is told from one that was given back; False: `Delivery.redelivered` stands for both,
    and `Broker.brace` is called before such a one runs.
    """

    leases: bool = True
    max_delay: float = float("inf")
    priorities: int = 10
    most_urgent: Literal["lowest", "highest"] = "highest"
    dead_letters: bool = True
    max_batch: int = 1000
    max_message_bytes: int | None = None
    needs_watch: bool = False
    atomic_follow_ups: bool = True
    stores_results: bool = False
    shared: bool = True
    tells_deaths: bool = True


class Broker(Protocol):
    """Queues of messages. At least once: a message leaves the store only by `ack`, `reject` or `purge`.

    Every method may be called from any thread and blocks until the store has answered. Every method raises
    `BrokerError` kin, and nothing else, when the store fails; what was asked may then have happened or not.
    """

    @property
    def capabilities(self) -> BrokerCapabilities: ...

    @property
    def location(self) -> str:
        """Where the store is, for people: a URL without its password."""

    def connect(self) -> None:
        """Make sure that the store can be reached. Other methods do so by themselves; this one reports early."""

    def close(self) -> None:
        """Let go of every connection. Held deliveries stay leased. Idempotent."""

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        """Make the queues known to the store and to stock clients. Idempotent."""

    def check_queue(self, name: str) -> None:
        """Raise `ImproperlyConfigured` when no queue here can have this name. The store is not asked."""

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:
        """Return when the store has all of them, in order.

        A store whose answers can get lost stores the messages once, however often they are sent with the same `nonce`
        within a minute; where a call was done or has failed for sure, it need not look at it.
        Raises `SendIncomplete`, naming the positions that the store has not, when only a part was stored.
        """

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        """Take messages, and hold them.

        Queues are served in the order given, and within a queue the most urgent first, then the oldest. With nothing
        ready it waits up to `wait` seconds for the first message, without polling the store where it can; then it
        returns what there is, perhaps nothing. A message that was taken is never only in the air: if the caller dies
        at any moment, the message comes back when the lease ends.
        """

    def ack_and_receive(
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        """Do as `ack` and then as `receive` without waiting, in one trip where the store can; see `Terms.waits`.

        Return the leases that were lost, and what was taken; what follows may be among it, and nobody else is woken
        for that. When it raises, either may have been done, or nothing.
        """

    def interrupt(self) -> None:
        """Make a `receive` that waits in another thread return at once; the next one if none is waiting.

        Safe to call from a signal handler.
        """

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:
        """For up to `wait` seconds, notice messages of producers that wake nobody, and wake a receiver for each.

        Return True, at once, when it has looked and messages are delayed: `upkeep` has something to do. It looks
        whenever some are delayed and none were before, but may miss that there were none in between.
        One thread of a node calls it again and again where `capabilities.needs_watch`; elsewhere it does nothing.
        """

    def rely_on_watch(self) -> None:
        """Say that somebody else calls `watch` for the queues received from here: `receive` need not look itself."""

    def take_custody(self) -> str:
        """Begin to be able to settle what other processes of this machine held when they died; return what they need
        for `entrust`. Called once, by a node's supervisor, before it starts engines.

        Empty where leases can be settled by anybody, and where it cannot be done. `upkeep` has then more to do.
        """

    def entrust(self, custodian: str) -> None:
        """Let another process settle what this one holds when it dies. Called before the first `receive`."""

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:
        """Hold them for `lease` seconds from now. Return those that were lost."""

    def ack(
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),
    ) -> Sequence[Lease]:
        """Remove these messages for good. Return those whose lease was lost: nothing was done for them.

        `follow_ups` maps a lease's tag to the messages that replace it: they are sent before it is removed, in the
        same step where `capabilities.atomic_follow_ups`; not sent for a lease that was lost, if the store can tell.
        `results` are stored before all that, whatever becomes of the leases, as `ResultBackend.store` of the same
        store does; only where `capabilities.stores_results`.
        """

    def requeue(self, leases: Sequence[Lease], *, delay: float = 0.0, redelivered: bool = False) -> Sequence[Lease]:
        """Give these messages back, first in line of their priority, or after `delay` seconds.

        With `redelivered` they are marked, as `upkeep` marks what it takes back: their holder died while it ran them.
        Otherwise a message keeps the mark that it had. Return those whose lease was lost.
        """

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        """Move these messages to the dead letters of their queue, with the reason. Return the lost."""

    def held_by(self, owner: str) -> Sequence[Lease]:
        """Return what is held as that owner's (see `Terms`), in its order, also by a claim whose answer never arrived.

        For somebody who knows that the owner is dead. Looks at all that is held in the store. Empty where a delivery
        lives as long as its connection.
        """

    def brace(self, lease: Lease) -> bool:
        """Say that a message that was redelivered is about to run: should its holder die, that is one crash more.

        The lease stays what it is. False when it was lost. Does nothing, and returns True, where
        `capabilities.tells_deaths`: there the core counts.
        """

    def upkeep(self, *, limit: int) -> Upkeep:
        """Let due messages become ready and take back expired leases, up to `limit` of each, on all queues.

        Any number of processes may call it at any time. A no-op where the server does it. A message taken back from
        a holder whose lease ran out is marked as redelivered and goes first in line.
        """

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        """Return how each of the queues stands; an unknown queue is empty."""

    def queues(self) -> Sequence[str]:
        """Return the names of the queues that the store knows, sorted."""

    def purge(self, queue: str) -> int:
        """Remove what is ready or delayed, never what is leased. Return how many were removed."""
