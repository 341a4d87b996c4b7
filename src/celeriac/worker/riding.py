"""Acknowledgements that go along with another call to the broker, and which ends of tasks can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker, Delivery, Lease, Outgoing, Terms
from celeriac.interfaces.results import ResultRecord
from celeriac.worker.outcome import Completion, Settle

_ACK: Final = Settle.ACK  # a member of an enum takes several hundred instructions to look up


class Keeper(Protocol):
    """Who has to know what became of the acknowledgements: the completer."""

    def acked(self, leases: Sequence[Lease], lost: Sequence[Lease]) -> None: ...

    def not_acked(self, batch: Sequence[Completion], error: Exception) -> None: ...


class Acks(Struct):
    """Acknowledgements that go along with another call to the broker: what follows with them, and their results unless
    these are stored already.
    """

    completer: Keeper
    batch: Sequence[Completion]
    with_results: bool

    def ride(self, broker: Broker, queues: Sequence[str], terms: Terms) -> Sequence[Delivery]:
        """Have the broker acknowledge, and return what it has for us.

        Raises `BrokerError` kin. When that, or anything else, goes wrong, they are tried again; the latter returns
        nothing.
        """
        leases, follow_ups, records = ends_of(self.batch)
        try:
            results = records if self.with_results else ()
            lost, found = broker.ack_and_receive(leases, queues, terms, follow_ups=follow_ups, results=results)
        except BrokerError as error:
            self.completer.not_acked(self.batch, error)
            raise
        except Exception as error:  # noqa: BLE001  a message that cannot be sent holds up no claim
            self.completer.not_acked(self.batch, error)
            return ()
        self.completer.acked(leases, lost)
        return found


def is_light(completion: Completion) -> bool:
    """Tell whether all of an end is a result, an acknowledgement and what is sent in its place."""
    sequel = completion.sequel
    if completion.settle is not _ACK or (completion.lease is None and completion.follow_ups):
        return False
    return sequel is None or not (sequel.parts or sequel.records or sequel.chords or sequel.unsent)


def ends_of(
    completions: Iterable[Completion],
) -> tuple[list[Lease], dict[str, Sequence[Outgoing]] | None, list[ResultRecord]]:
    """Return what is to be settled, by tag what is to be sent in place of messages (None for nothing), and what is to
    be stored.
    """
    leases: list[Lease] = []
    follow_ups: dict[str, Sequence[Outgoing]] = {}
    records: list[ResultRecord] = []
    for completion in completions:
        if (lease := completion.lease) is not None:
            leases.append(lease)
            if completion.follow_ups:
                follow_ups[lease.tag] = completion.follow_ups
        if completion.record is not None:
            records.append(completion.record)
    return leases, follow_ups or None, records


def stores_anything(batch: Sequence[Completion]) -> bool:
    """Tell whether its success shows that a store has room: a full one still takes messages back."""
    return any(completion.record is not None or completion.follow_ups for completion in batch)


def take_out(left: list[Completion], done: Sequence[Completion]) -> None:
    """Take what is done out of what is left."""
    if len(done) == len(left):  # nearly always: no call for a comparison of each with each
        left.clear()
    else:
        gone = {id(completion) for completion in done}
        left[:] = [completion for completion in left if id(completion) not in gone]
