"""From a delivery to a job, or to the reason why it is none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from msgspec import Struct

from celeriac import signals, states
from celeriac.app.base import Celeriac
from celeriac.clock import Clock
from celeriac.exceptions import (
    ContentDisallowed,
    DecodeError,
    InvalidTaskError,
    NotRegistered,
    TaskError,
    TaskRevokedError,
)
from celeriac.interfaces.broker import Delivery
from celeriac.interfaces.revocations import Revocation
from celeriac.settings.conf import Settings
from celeriac.types import Seconds
from celeriac.wire import tasks as wire
from celeriac.wire.content import accepted
from celeriac.wire.identity import peek_identity
from celeriac.wire.message import Message
from celeriac.wire.results import TaskResult
from celeriac.wire.tasks import TaskCall
from celeriac.worker.renewals import Claim
from celeriac.worker.revoked import Revoked
from celeriac.worker.run import TaskRunner
from celeriac.worker.sequel import REPEATED, Sequels
from celeriac.worker.task_log import TaskLog
from celeriac.worker.telling import tell_revoked

logger = logging.getLogger(__name__)

_MOST_NAMED: Final = 10
"""Tasks that the log names beside one that is not registered."""
_UNKNOWN_DELAY: Final = 5.0
"""Seconds that a task unknown here rests before any worker sees it again, with ``task_unknown_policy='wait'``."""


class Job(Struct, frozen=True):
    """A call that may run now.

    `is_doubtful`: it may have run before, since its holder died, or since its message may be there twice.
    """

    runner: TaskRunner
    call: TaskCall
    delivery: Delivery
    claim: Claim
    is_doubtful: bool

    @property
    def acks_late(self) -> bool:
        """Whether its message is held while it runs."""
        return self.runner.acks_late or self.runner.is_acked_late(self.call)

    @property
    def ends_with_its_worker(self) -> bool:
        """Whether the death of its worker is its end; by default it runs again."""
        return self.runner.ends_with_its_worker or (self.acks_late and not self.runner.acks_late)


class Refused(Struct, frozen=True):
    """A delivery that can never run here: a dead letter with its reason, and perhaps a result to store.

    `call` is there when the message could be read.
    """

    delivery: Delivery
    reason: str
    result: TaskResult | None = None
    call: TaskCall | None = None


class Postponed(Struct, frozen=True):
    """A delivery that goes back to the store for `delay` seconds."""

    delivery: Delivery
    delay: Seconds


class Expired(Struct, frozen=True):
    """A call that came too late, or that was revoked: acknowledged, with the result REVOKED."""

    delivery: Delivery
    call: TaskCall
    result: TaskResult


Admitted = Job | Refused | Postponed | Expired


def runners_of(  # noqa: PLR0913  all from different parts of the engine
    app: Celeriac, hostname: str, *, log: TaskLog, sequels: Sequels, revoked: Revoked, is_supervised: bool
) -> dict[str, TaskRunner]:
    """Return what runs the tasks of an application, by their names.

    `is_supervised`: somebody notices when the engine dies, and can end it for a task.
    """
    runner = partial(
        TaskRunner,
        conf=app.conf,
        writer=app.writer,
        log=log,
        hostname=hostname,
        clock=app.clock,
        sequels=sequels,
        revoked=revoked,
        tells_deaths=is_supervised and app.broker.capabilities.tells_deaths,
    )
    return {name: runner(task) for name, task in app.tasks.items()}


class Admission:
    """Decodes deliveries and decides what becomes of each. No sender's code runs here unless pickle is accepted."""

    def __init__(self, runners: Mapping[str, TaskRunner], conf: Settings, *, clock: Clock, revoked: Revoked) -> None:
        self._runners = runners
        self._revoked = revoked
        self._accept = accepted(conf.accept_content)
        self._max_body = conf.task_message_max_bytes
        self._waits_for_unknown = conf.task_unknown_policy == "wait"
        self._clock = clock

    def admit(self, delivery: Delivery, claim: Claim) -> Admitted:
        """Decide about one delivery of a claim. Never raises for what a sender can write."""
        message = delivery.message
        if not isinstance(message, Message):
            return self._refuse(delivery, f"unreadable: {message.reason}")
        try:
            call = wire.decode(message, accept=self._accept, max_body=self._max_body)
        except ContentDisallowed as error:
            return self._refuse(delivery, f"content type not accepted: {error}")
        except (DecodeError, InvalidTaskError) as error:
            return self._refuse(delivery, f"invalid message: {error}")
        except Exception as error:  # noqa: BLE001  a missing library, or a surprise: no message may end an engine
            return self._refuse(delivery, f"cannot be read here: {type(error).__name__}: {error}")
        runner = self._runners.get(call.name)
        if runner is None:
            return self._unknown(delivery, call)
        if not self._revoked.is_empty and (revocation := self._revoked.of(call)) is not None:
            return self.discard(delivery, call, revocation)
        if call.eta is not None or call.expires is not None:
            later = self._by_time(delivery, call)
            if later is not None:
                return later
        return Job(runner, call, delivery, claim, delivery.redelivered or REPEATED in call.headers)

    def _by_time(self, delivery: Delivery, call: TaskCall) -> Admitted | None:
        now = self._clock.now()
        if call.expires is not None and call.expires.timestamp() <= now:
            logger.info("Discarding expired task: %s[%s]", call.name, call.id)
            tell_revoked(call.name, call, expired=True)
            return self._discarded(delivery, call, "expired")
        if call.eta is not None and call.eta.timestamp() > now:
            return Postponed(delivery, call.eta.timestamp() - now)
        return None

    def discard(self, delivery: Delivery, call: TaskCall, revocation: Revocation) -> Expired:
        """Return what becomes of a call that was revoked, before it ran or, by the end of its process, while it did."""
        signal = revocation.signal if delivery.redelivered else ""
        logger.info("Discarding revoked task: %s[%s]", call.name, call.id)
        tell_revoked(call.name, call, signal=signal)
        return self._discarded(delivery, call, "terminated" if signal else "revoked")

    def _discarded(self, delivery: Delivery, call: TaskCall, reason: str) -> Expired:
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        error = TaskRevokedError(reason)
        return Expired(delivery, call, TaskResult(task_id=call.id, state=states.REVOKED, result=error, date_done=done))

    def _unknown(self, delivery: Delivery, call: TaskCall) -> Admitted:
        if self._waits_for_unknown:
            logger.warning(
                "Task %s[%s] is not known here; it waits %s s for a worker that knows it.",
                call.name, call.id, _UNKNOWN_DELAY,
            )  # fmt: skip
            return Postponed(delivery, _UNKNOWN_DELAY)
        logger.error(
            "Received a task that is not registered: %s[%s]. Did you import the module that contains it? It is a dead"
            " letter now. Known tasks: %s",
            call.name, call.id, _some(sorted(name for name in self._runners if not name.startswith("celery."))),
        )  # fmt: skip
        if signals.task_unknown.receivers:
            signals.task_unknown.send(
                sender=None, name=call.name, id=call.id, message=delivery.message, exc=NotRegistered(call.name)
            )
        result = self.failed(call.id, NotRegistered(call.name))
        return Refused(delivery, f"task {call.name} is not registered", result, call)

    def _refuse(self, delivery: Delivery, reason: str) -> Refused:
        message = delivery.message
        name, task_id = peek_identity(message) if isinstance(message, Message) else (None, None)
        logger.error("Message on queue %s refused (task %s, id %s): %s", delivery.lease.queue, name, task_id, reason)
        if signals.task_rejected.receivers:
            signals.task_rejected.send(sender=None, message=message, exc=DecodeError(reason))
        return Refused(delivery, reason, self.failed(task_id, InvalidTaskError(reason)) if task_id else None)

    def failed(self, task_id: str, error: TaskError) -> TaskResult:
        """Return the result of a task that cannot run, so that nobody waits for it in vain."""
        done = datetime.fromtimestamp(self._clock.now(), UTC)
        return TaskResult(task_id=task_id, state=states.FAILURE, result=error, date_done=done)


def _some(names: list[str]) -> str:
    """Return the first names in a line, and how many more there are; a worker lists all when it starts."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}" or "none"
