"""Whether an engine still holds what it is about to begin.

A node may stand still for longer than a lease: its processes stopped, its machine suspended. When it goes on, others
run what its engines had claimed. Its supervisor finds that out, but an engine begins the next task in microseconds. So
it looks at the clock first: while its lease lasts for sure that is all, and otherwise the store is asked.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac.clock import Clock
from celeriac.exceptions import BrokerError
from celeriac.interfaces.broker import Broker, Lease
from celeriac.types import Seconds
from celeriac.worker.admission import Job
from celeriac.worker.completion import Completer
from celeriac.worker.ledger import Ledger
from celeriac.worker.outcome import Completion, Settle
from celeriac.worker.renewals import Claim, Renewals

logger = logging.getLogger(__name__)

_SURE: Final = 0.9
"""The part of a lease in which it needs no question; the rest is for clocks that do not run alike."""
_CONNECTED: Final[Seconds] = 0.5
"""Where a delivery lives as long as its connection, which costs a look to find out, that is looked at after as many."""
_NAMED: Final = 10
"""Tasks that a warning names."""


class Tenure:
    """Makes sure of leases. Thread-safe: a job belongs to the thread that took it out of its backlog."""

    def __init__(  # noqa: PLR0913  all from different parts of the engine
        self,
        broker: Broker,
        ledger: Ledger,
        completer: Completer,
        renewals: Renewals,
        *,
        lease: Seconds,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._completer = completer
        self._renewals = renewals
        self._lease = lease
        self._span = lease * _SURE if broker.capabilities.leases else _CONNECTED
        self._now = clock.boottime

    def is_sure(self, job: Job) -> bool:
        """Tell whether the job is held for sure, without asking the store."""
        return self._now() < job.claim.moment + self._span or self._is_renewed(job)

    def holds(self, job: Job, backlog: deque[Job]) -> bool:
        """Tell whether the job may begin: costs 0.2 µs. Where that is not sure, the store is asked, for `backlog` too.

        What others have is dropped; when the store does not answer, all is given back.
        """
        return self._now() < job.claim.moment + self._span or self._is_renewed(job) or self._make_sure(job, backlog)

    def _is_renewed(self, job: Job) -> bool:
        return self._now() < self._renewals.sure_at(job.claim) + self._span

    def _make_sure(self, job: Job, backlog: deque[Job]) -> bool:
        jobs = [job, *_emptied(backlog)]
        try:
            moment, lost = self._extend([each.delivery.lease for each in jobs])
        except BrokerError as error:
            text = "%s tasks are given back, not begun: whether their leases ended is not known: %s"
            logger.error(text, len(jobs), error)
            for each in jobs:
                self._completer.add(Completion(each.delivery.lease, Settle.REQUEUE))
            return False
        gone = [each for each in jobs if each.delivery.lease.tag in lost]
        if gone:
            self._ledger.settled([each.delivery.lease.tag for each in gone])
            text = "%s tasks are not begun, their leases ended: other workers run them now (%s%s)"
            named = ", ".join(f"{each.call.name}[{each.call.id}]" for each in gone[:_NAMED])
            logger.warning(text, len(gone), named, ", ..." if len(gone) > _NAMED else "")
        kept = [
            msgspec.structs.replace(each, claim=Claim(moment, each.claim.number))
            for each in jobs[1:]
            if each.delivery.lease.tag not in lost
        ]
        backlog.extendleft(reversed(kept))
        return job.delivery.lease.tag not in lost

    def _extend(self, leases: Sequence[Lease]) -> tuple[Seconds, set[str]]:
        """Return since when, by `boottime`, they are held anew, and the tags of those that were lost."""
        while True:
            moment = self._now()
            lost = {lease.tag for lease in self._broker.extend(leases, lease=self._lease)}
            if self._now() < moment + self._span:  # otherwise it stood still in the call
                return moment, lost


def without(backlogs: Sequence[deque[Job]], tags: Sequence[str]) -> list[str]:
    """Take the jobs with these tags out of the backlogs; return the tags that none of them had."""
    lost = frozenset(tags)
    found: set[str] = set()
    for backlog in backlogs:
        jobs = _emptied(backlog)
        backlog.extendleft(job for job in reversed(jobs) if job.delivery.lease.tag not in lost)
        found.update(job.delivery.lease.tag for job in jobs)
    return [tag for tag in tags if tag not in found]


def _emptied(backlog: deque[Job]) -> list[Job]:
    jobs: list[Job] = []
    while True:
        try:
            jobs.append(backlog.popleft())
        except IndexError:  # another thread may have taken the last
            return jobs
