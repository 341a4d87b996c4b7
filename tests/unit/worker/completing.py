"""A completer between two stores that keep a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celeriac.exceptions import BackendError, BrokerUnavailable
from celeriac.interfaces.broker import Lease
from celeriac.interfaces.results import ResultRecord
from celeriac.result.writer import ResultWriter
from celeriac.testing.conformance.samples import QUEUE, receive, send
from celeriac.testing.faults import BrokerBefore, ResultsBefore
from celeriac.worker.chords import sequels_of
from celeriac.worker.completion import Completer
from celeriac.worker.holdings import Holdings
from tests.unit.spine import Spine


class Journal:
    """What was asked of the two stores, in order; `fails` names the calls that fail, each as often as it is in it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: list[str] = []

    def note(self, name: str, error: Exception) -> None:
        if name in self.fails:
            self.fails.remove(name)
            raise error
        self.asked.append(name)


class Broker(BrokerBefore):
    def __init__(self, inner: Any, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    def _note(self, name: str) -> None:
        self._journal.note(name, BrokerUnavailable(f"no {name}"))

    def send(self, outgoing, *, nonce=None):
        self._note("send")
        self._inner.send(outgoing)

    def ack(self, leases, *, follow_ups=None, results=()):
        self._note("ack")
        return self._inner.ack(leases, follow_ups=follow_ups, results=results)

    def requeue(self, leases, *, delay=0.0):
        self._note(f"requeue {delay:g}" if delay else "requeue")
        return self._inner.requeue(leases, delay=delay)

    def reject(self, leases, *, reason):
        self._note(f"reject {reason}")
        return self._inner.reject(leases, reason=reason)


class Results(ResultsBefore):
    def __init__(self, inner: Any, journal: Journal) -> None:
        super().__init__(inner)
        self._journal = journal

    def store(self, records: Sequence[ResultRecord]) -> None:
        self._journal.note("store", BackendError("no store"))
        self._inner.store(records)


class Bench:
    """A completer between two stores that keep a journal."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self.journal = Journal()
        self.holdings = Holdings()
        self.broker = spine.app.broker
        self.completer = self.between(Broker(spine.app.broker, self.journal), Results(spine.app.results, self.journal))

    def between(self, broker: Any, results: Any, *, results_ride: bool = False) -> Completer:
        writer = ResultWriter(
            lambda: results, serializer="json", ttl=None, extended=False, max_bytes=None, clock=self.spine.clock
        )
        return Completer(
            broker,
            writer,
            self.holdings,
            clock=self.spine.clock,
            chords=sequels_of(self.spine.app)[1],
            results_ride=results_ride,
        )

    def held(self, count: int) -> list[Lease]:
        """Send and receive messages; return their leases, which the ledger knows."""
        send(self.broker, *range(count))
        leases = [delivery.lease for delivery in receive(self.broker)]
        self.holdings.held(leases)
        return leases

    def stats(self) -> tuple[int, int, int, int]:
        stats = self.broker.stats([QUEUE])[QUEUE]
        return stats.ready, stats.delayed, stats.leased, stats.dead

    def stored(self) -> set[str]:
        return set(self.spine.app.results.fetch([str(number) for number in range(100)]))


def record(name: object) -> ResultRecord:
    return ResultRecord(str(name), "SUCCESS", b"{}", None)
