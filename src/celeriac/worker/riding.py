"""Acknowledgements that go along with another call to the broker, and which ends of tasks can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Lease, Outgoing
from celeriac.interfaces.results import ResultRecord
from celeriac.worker.outcome import Completion, Settle

T = TypeVar("T")


class Keeper(Protocol):
    """Who has to know what became of the acknowledgements: the completer."""

    def acked(self, leases: Sequence[Lease], lost: Sequence[Lease]) -> None: ...

    def not_acked(self, batch: Sequence[Completion], error: Exception) -> None: ...


class Acks:
    """Acknowledgements that go along with another call to the broker: what follows with them, and results that are not
    stored yet.
    """

    def __init__(self, completer: Keeper, batch: Sequence[Completion], results: Sequence[ResultRecord]) -> None:
        self._completer = completer
        self._batch = batch
        self._results = results

    def ride(self, call: Callable[..., tuple[Sequence[Lease], T]]) -> T | None:
        """Have `call` acknowledge, with what `Broker.ack` takes; return what else it brings.

        Raises `BrokerError` kin. When that, or anything else, goes wrong, they are tried again; None for the latter.
        """
        leases, follow_ups = leases_of(self._batch), follow_ups_of(self._batch)
        try:
            if follow_ups or self._results:
                lost, found = call(leases, follow_ups=follow_ups, results=self._results)
            else:
                lost, found = call(leases)
        except BrokerError as error:
            self._completer.not_acked(self._batch, error)
            raise
        except Exception as error:  # noqa: BLE001  a message that cannot be sent holds up no claim
            self._completer.not_acked(self._batch, error)
            return None
        self._completer.acked(leases, lost)
        return found


def is_light(completion: Completion) -> bool:
    """Tell whether all of an end is a result, an acknowledgement and what is sent in its place."""
    sequel = completion.sequel
    if completion.settle is not Settle.ACK or (completion.lease is None and completion.follow_ups):
        return False
    return sequel is None or not (sequel.parts or sequel.records or sequel.chords)


def leases_of(completions: Sequence[Completion]) -> list[Lease]:
    """Return the leases that are to be settled."""
    return [completion.lease for completion in completions if completion.lease is not None]


def records_of(completions: Sequence[Completion]) -> list[ResultRecord]:
    """Return the results that are to be stored."""
    return [completion.record for completion in completions if completion.record is not None]


def follow_ups_of(completions: Sequence[Completion]) -> dict[str, Sequence[Outgoing]] | None:
    """Return by tag what is to be sent in place of messages; None for nothing."""
    found = {c.lease.tag: c.follow_ups for c in completions if c.follow_ups and c.lease is not None}
    return found or None


def stores_anything(batch: Sequence[Completion]) -> bool:
    """Tell whether its success shows that a store has room: a full one still takes messages back."""
    return any(completion.record is not None or completion.follow_ups for completion in batch)
