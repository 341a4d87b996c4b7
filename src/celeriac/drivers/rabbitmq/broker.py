"""Work on RabbitMQ: sent with confirms, received by the claim, settled on the channel that it came on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from celeriac.clock import Clock
from celeriac.drivers.rabbitmq.channel import Channel
from celeriac.drivers.rabbitmq.custody import Custodian, Ward
from celeriac.drivers.rabbitmq.dead import Cemetery
from celeriac.drivers.rabbitmq.delays import LONGEST, delayed_route
from celeriac.drivers.rabbitmq.errors import BROKER, NOT_FOUND, ChannelClosed, Failing, LinkLost, WireError
from celeriac.drivers.rabbitmq.held import Held, Holdings
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.messages import CRASHES, copied, encoded
from celeriac.drivers.rabbitmq.parking import Parking
from celeriac.drivers.rabbitmq.publishing import Answers, Post, Refused, publish
from celeriac.drivers.rabbitmq.receiving import Receiver
from celeriac.drivers.rabbitmq.survey import Survey
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.drivers.rabbitmq.topology import Topology
from celeriac.exceptions import BrokerError, EncodeError, ImproperlyConfigured, SendIncomplete
from celeriac.forks import after_fork_in_child
from celeriac.interfaces.broker import (
    BrokerCapabilities,
    Delivery,
    Lease,
    Nonce,
    Outgoing,
    QueueSpec,
    QueueStats,
    Terms,
    Upkeep,
)
from celeriac.interfaces.results import ResultRecord

__all__ = ["RabbitBroker"]

_LONGEST_NAME: Final = 198
"""Bytes: with the 56 of a delay before it, a name must fit in 255."""
_MOST_HEADERS: Final = 131_000
"""Bytes: what fits into one frame of the size that servers propose."""
_RETURNS: Final = 15
"""Deliveries of one message on a quorum queue after which it is given back as a copy: RabbitMQ 4 drops it after 20."""


class RabbitBroker:
    """The broker contract on two connections, one that sends and one that receives. Thread-safe.

    What is held for a third of `consumer_timeout` (seconds, the server's) is held anew, see `Parking`.
    """

    def __init__(  # noqa: PLR0913  its parts
        self,
        sending: Links,
        taking: Links,
        topology: Topology,
        cemetery: Cemetery,
        survey: Survey,
        answers: Answers,
        *,
        clock: Clock,
        priorities: int,
        consumer_timeout: float,
    ) -> None:
        self.capabilities = BrokerCapabilities(
            leases=False,
            max_delay=LONGEST,
            priorities=priorities,
            most_urgent="highest",
            max_batch=1000,
            atomic_follow_ups=False,
            tells_deaths=False,
        )
        self._sending = sending
        self._taking = taking
        self._topology = topology
        self._cemetery = cemetery
        self._survey = survey
        self._answers = answers
        self._clock = clock
        self._longest_hold = consumer_timeout / 3
        taking.on_pulse = self._hold_anew
        taking.longest_pause = min(taking.longest_pause, self._longest_hold / 4)
        self._begin()
        after_fork_in_child(self)

    def _begin(self) -> None:
        self._holdings = Holdings(self._topology.is_replicated)
        self._receiver = Receiver(self._taking, self._holdings, self.ensure, self._topology.is_replicated)
        self._ward, self._custodian = Ward(), Custodian()
        self._parking = Parking(self._sending, self._taking, self._holdings, self._ward)
        self._taking.on_open = self._hand_over

    def forget_parent(self) -> None:
        """Begin anew after a fork: the parent goes on holding what it holds."""
        self._custodian.forget_parent()
        self._ward.close()
        self._begin()

    @property
    def location(self) -> str:
        return self._sending.connector.address.location

    def connect(self) -> None:
        with self._failing("connecting"):
            self._sending.link()

    def close(self) -> None:
        self._receiver.close()
        self._holdings.clear()
        self._taking.close()
        self._sending.close()
        self._ward.close()
        self._custodian.close()

    def check_queue(self, name: str) -> None:
        if len(name.encode()) > _LONGEST_NAME:
            raise ImproperlyConfigured(
                f"The name of queue {name[:40]!r}... has more than {_LONGEST_NAME} bytes, too many for RabbitMQ."
            )

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        for spec in queues:
            self.check_queue(spec.name)
            with self._failing(f"declaring queue {spec.name!r}"), self._channels() as open_channel:
                self._topology.declare(open_channel, spec)

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(self, outgoing: Sequence[Outgoing], *, nonce: Nonce | None = None) -> None:  # noqa: ARG002  not kept here
        most = self.capabilities.max_batch
        for start in range(0, len(outgoing), most):
            part = outgoing[start : start + most]
            posts = [self._post(each) for each in part]
            try:
                unsent = self.publish(posts, [each.route.queue for each in part])
            except BrokerError as error:
                if start == 0:
                    raise
                raise SendIncomplete(str(error), unsent=range(start, len(outgoing))) from error
            if unsent:
                places = [start + place for place in unsent]
                places += range(start + len(part), len(outgoing))
                text = (
                    f"RabbitMQ at {self.location} did not take {len(unsent)} of {len(part)} messages for {_names(part)}"
                )
                raise SendIncomplete(f"{text}: a queue is full, has no leader, or was deleted now.", unsent=places)

    def _post(self, outgoing: Outgoing, extra: dict[str, object] | None = None) -> Post:
        message, route = outgoing.message, outgoing.route
        try:
            properties = encoded(message, priority=outgoing.priority, extra=extra)
        except TableError as error:
            raise EncodeError(f"The message for queue {route.queue!r} cannot be sent by AMQP: {error}") from error
        if len(properties) > _MOST_HEADERS:
            raise EncodeError(
                f"The message for queue {route.queue!r} cannot be sent by AMQP: its headers of {len(properties)} bytes"
                f" are larger than {_MOST_HEADERS}, the most that one frame holds."
            )
        exchange, key = route.exchange, route.routing_key or ("" if route.exchange else route.queue)
        delay = 0.0 if outgoing.not_before is None else outgoing.not_before - self._clock.now()
        if delay > 0:
            self._ensure_delays(route.queue)
            exchange, key = delayed_route(delay, route.queue)
        return Post(exchange, key, properties, message.body, message.correlation_id if message.reply_to else None)

    def publish(self, posts: Sequence[Post], queues: Sequence[str]) -> Sequence[int]:
        """Publish, and again what had no queue; return the positions of what could not be stored."""
        for queue in dict.fromkeys(queues):
            self.ensure(queue)
        refused = self._publish_once(posts, queues)
        if not refused.unroutable:
            return refused.unwanted
        missing = [queues[place] for place in refused.unroutable]
        for queue in dict.fromkeys(missing):
            self._topology.forget(queue)
            self.ensure(queue)
        again = self._publish_once([posts[place] for place in refused.unroutable], missing)
        rest = [refused.unroutable[place] for place in (*again.unroutable, *again.unwanted)]
        return sorted([*refused.unwanted, *rest])

    def _publish_once(self, posts: Sequence[Post], queues: Sequence[str]) -> Refused:
        with self._failing(f"sending to {_queues(list(set(queues)))}"):
            try:
                return publish(self._sending, posts, answers=self._answers)
            except ChannelClosed as error:
                if error.code != NOT_FOUND:
                    raise
                self._topology.forget()  # an exchange was deleted: all is declared anew, once
                for queue in dict.fromkeys(queues):
                    self.ensure(queue)
                    if any(post.exchange.startswith(("celery_delayed", "celeriac_delayed")) for post in posts):
                        self._ensure_delays(queue)
                return publish(self._sending, posts)

    # -- receiving --------------------------------------------------------------------------------------------------

    def receive(self, queues: Sequence[str], terms: Terms, *, wait: float) -> Sequence[Delivery]:
        """See `Broker.receive`. A delivery lives as long as its connection, by which the server knows its owner."""
        with self._failing("receiving"):
            try:
                return self._receiver.receive(queues, terms, wait=wait)
            except ChannelClosed as error:
                if error.code != NOT_FOUND:
                    raise
                for queue in queues:  # one was deleted: it is declared anew, once
                    self._topology.forget(queue)
                return self._receiver.receive(queues, terms, wait=wait)

    def ack_and_receive(
        self,
        leases: Sequence[Lease],
        queues: Sequence[str],
        terms: Terms,
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),  # noqa: ARG002  none are kept here
    ) -> tuple[Sequence[Lease], Sequence[Delivery]]:
        found, lost = self._holdings.find(leases)
        going_on = None if follow_ups else self._receiver.going_on(queues, found.values())
        if going_on is None:
            return self.ack(leases, follow_ups=follow_ups), self.receive(queues, terms, wait=0.0)
        lost = [*self._custodian.settle(lost, "basic.ack"), *self._settled(found, going_on.settle)]
        try:
            return lost, self._receiver.receive_more(going_on, queues[0], terms)
        except WireError:  # the next call says what is wrong, or mends it
            return lost, []

    def interrupt(self) -> None:
        self._receiver.interrupt()

    def watch(self, queues: Sequence[str], *, wait: float) -> bool:  # noqa: ARG002  the contract's
        """Do nothing: the server wakes receivers here."""
        return False

    def rely_on_watch(self) -> None:
        """Do nothing: there is nothing to watch for."""

    # -- custody ----------------------------------------------------------------------------------------------------

    def take_custody(self) -> str:
        return self._custodian.listen()

    def entrust(self, custodian: str) -> None:
        self._ward.custodian = custodian

    # -- settling ---------------------------------------------------------------------------------------------------

    def extend(self, leases: Sequence[Lease], *, lease: float) -> Sequence[Lease]:  # noqa: ARG002  see `receive`
        link = self._taking.current
        if link is not None:
            link.look()  # the server may have closed it long ago, while this process stood still
        return self._holdings.find(leases)[1]

    def ack(
        self,
        leases: Sequence[Lease],
        *,
        follow_ups: Mapping[str, Sequence[Outgoing]] | None = None,
        results: Sequence[ResultRecord] = (),  # noqa: ARG002  none are kept here
    ) -> Sequence[Lease]:
        found, lost = self._holdings.find(leases)
        following = [each for tag in found for each in (follow_ups or {}).get(tag, ())]
        if following:
            self.send(following)
        return [*self._custodian.settle(lost, "basic.ack"), *self._settled(found, self._holdings.ack)]

    def requeue(
        self,
        leases: Sequence[Lease],
        *,
        delay: float = 0.0,
        redelivered: bool = False,  # noqa: ARG002  whatever is given back is marked by the server
    ) -> Sequence[Lease]:
        found, lost = self._holdings.find(leases)
        if delay <= 0:
            lost = self._custodian.settle(lost, "basic.nack")
        copies = {
            tag: held for tag, held in found.items() if delay > 0 or held.deliveries >= _RETURNS or held.is_parked
        }
        if copies:
            for queue in dict.fromkeys(held.queue for held in copies.values() if delay > 0):
                self._ensure_delays(queue)
            posts = [self._copy(held, delay) for held in copies.values()]
            self._publish_copies(posts, list(copies.values()))
            lost = [*lost, *self._settled(copies, self._holdings.ack)]
        rest = {tag: held for tag, held in found.items() if tag not in copies}
        return [*lost, *self._settled(rest, self._holdings.give_back)]

    def reject(self, leases: Sequence[Lease], *, reason: str) -> Sequence[Lease]:
        found, lost = self._holdings.find(leases)
        if found:
            with self._failing("rejecting a message"):
                self._cemetery.bury(list(found.values()), reason)
        return [*lost, *self._settled(found, self._holdings.ack)]

    def held_by(self, owner: str) -> Sequence[Lease]:  # noqa: ARG002  a connection's end gives all back
        return ()

    def brace(self, lease: Lease) -> bool:
        with self._failing(f"marking a message of queue {lease.queue!r} that runs again"):
            try:
                return self._parking.hold_anew([lease.tag], is_crash=True)
            except (ChannelClosed, LinkLost):
                if self._holdings.held(lease.tag) is None:
                    return False
                raise

    def upkeep(self, *, limit: int) -> Upkeep:  # noqa: ARG002  the server does the rest
        self._custodian.look_after()
        return Upkeep()

    # -- looking ----------------------------------------------------------------------------------------------------

    def stats(self, queues: Sequence[str]) -> Mapping[str, QueueStats]:
        with self._failing(f"looking at {_queues(queues)}"):
            return self._survey.stats(queues)

    def queues(self) -> Sequence[str]:
        with self._failing("looking for queues"):
            return self._survey.names()

    def purge(self, queue: str) -> int:
        with self._failing(f"purging queue {queue!r}"):
            return self._survey.purge(queue)

    def _settled(self, found: Mapping[str, Held], settle: Callable[[Sequence[str]], None]) -> list[Lease]:
        """Settle; return what was lost in that moment, with its connection."""
        if not found:
            return []
        try:
            settle(list(found))
        except (ChannelClosed, LinkLost):
            return [Lease(held.queue, tag) for tag, held in found.items()]
        return []

    def _hand_over(self, link: Link) -> None:
        self._ward.hand_over(link, link.salt)

    def _hold_anew(self) -> None:
        """Move what has been held for so long that the server would soon take it away. Raises `WireError`."""
        self._parking.hold_anew(list(self._holdings.older_than(time.monotonic() - self._longest_hold)), is_crash=False)

    def _copy(self, held: Held, delay: float) -> Post:
        exchange, key = delayed_route(delay, held.queue) if delay > 0 else ("", held.queue)
        extra = {CRASHES: held.returns_as} if held.returns_as else {}
        return Post(exchange, key, copied(held.arrival.header, extra=extra), held.arrival.body)

    def _publish_copies(self, posts: Sequence[Post], helds: Sequence[Held]) -> None:
        unsent = self.publish(posts, [held.queue for held in helds])
        if unsent:
            raise BrokerError(f"RabbitMQ at {self.location} did not take {len(unsent)} messages that were given back.")

    def ensure(self, queue: str) -> None:
        """Make sure that a queue is there, as the application wants it where it is not. Raises `BrokerError`."""
        if not self._topology.knows(queue):
            with self._failing(f"declaring queue {queue!r}"), self._channels() as open_channel:
                self._topology.ensure(open_channel, queue)

    def _ensure_delays(self, queue: str) -> None:
        with self._failing(f"declaring what delays messages for queue {queue!r}"), self._channels() as open_channel:
            self._topology.ensure(open_channel, queue)
            self._topology.ensure_delays(open_channel, queue)

    @contextmanager
    def _channels(self) -> Iterator[Callable[[], Channel]]:
        """Give what returns an open channel, another when the server has closed the one before."""
        link = self._sending.link()
        opened: list[Channel] = []

        def open_channel() -> Channel:
            if not opened or not opened[-1].is_open:
                opened.append(Channel(link))
            return opened[-1]

        try:
            yield open_channel
        finally:
            for channel in opened:
                channel.close()

    def _failing(self, doing: str) -> Failing:
        return Failing(BROKER, doing, self._sending.connector.address)


def _names(outgoing: Sequence[Outgoing]) -> str:
    return _queues(sorted({item.route.queue for item in outgoing}))


def _queues(names: Sequence[str]) -> str:
    return f"queue {names[0]!r}" if len(names) == 1 else f"{len(names)} queues"
