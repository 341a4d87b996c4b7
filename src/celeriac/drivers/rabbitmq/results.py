"""Results as messages to whoever sent the task: what Celery calls ``rpc://``."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from celeriac.drivers.rabbitmq.contents import Properties, properties_up_to_id, write_properties, written_short
from celeriac.drivers.rabbitmq.errors import BACKEND, WireError, translate
from celeriac.drivers.rabbitmq.inbox import Inbox
from celeriac.drivers.rabbitmq.links import Links
from celeriac.drivers.rabbitmq.publishing import Post, publish
from celeriac.drivers.rabbitmq.tables import TableError
from celeriac.interfaces.results import ResultRecord
from celeriac.wire.content import type_of

__all__ = ["RabbitResults"]

_TRANSIENT: Final = 1
_PER_TRIP: Final = 1000  # results


class RabbitResults:
    """Results in the queue of the process that wants them. Implements `ResultBackend`, and is its own `Mailbox`.

    A result whose message names no address, or one that is gone, is dropped: nobody waits for it.
    """

    def __init__(self, sending: Links, inbox: Inbox, *, serializer: str) -> None:
        self._sending = sending
        self._inbox = inbox
        form = Properties(*type_of(serializer), headers={}, delivery_mode=_TRANSIENT)
        self._before_id, self._without_id = properties_up_to_id(form), write_properties(form)

    @property
    def location(self) -> str:
        return self._sending.connector.address.location

    @property
    def mailbox(self) -> RabbitResults:
        return self

    @property
    def is_open(self) -> bool:
        return self._inbox.is_open

    @property
    def is_at_hand(self) -> bool:
        return self._inbox.is_at_hand

    def address(self) -> str:
        try:
            return self._inbox.address()
        except WireError as error:
            raise self.error(error, "making the queue for this process's results") from error

    def connect(self) -> None:
        try:
            self._sending.link()
        except WireError as error:
            raise self.error(error, "connecting") from error

    def close(self) -> None:
        self._inbox.close()
        self._sending.close()

    def store(self, records: Sequence[ResultRecord]) -> None:
        posts = [self._post(record, record.reply_to) for record in records if record.reply_to]
        try:
            for start in range(0, len(posts), _PER_TRIP):
                publish(self._sending, posts[start : start + _PER_TRIP], mandatory=False)
        except WireError as error:
            raise self.error(error, f"sending the results of {_ids([r.task_id for r in records])}") from error

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        try:
            return self._inbox.fetch(ids)
        except WireError as error:
            raise self.error(error, f"looking for the results of {_ids(ids)}") from error

    def listen(self, ids: Sequence[str] = ()) -> RabbitListener:
        return RabbitListener(self, self._inbox, ids)

    def forget(self, ids: Sequence[str]) -> None:
        self._inbox.forget(ids)

    def sweep(self, *, limit: int) -> int:  # noqa: ARG002  nothing is kept that could be too old
        return 0

    def error(self, error: WireError, doing: str) -> Exception:
        """Return the error to raise for what the connection says."""
        return translate(error, kind=BACKEND, doing=doing, location=self.location)

    def _post(self, record: ResultRecord, queue: str | None) -> Post:
        try:
            properties = self._before_id + written_short(record.task_id)
        except TableError:  # an id so long can be no correlation id
            properties = self._without_id
        return Post("", queue or "", properties, record.payload)


class RabbitListener:
    """One who waits, by the inbox that all share. Implements `ResultListener`."""

    def __init__(self, results: RabbitResults, inbox: Inbox, ids: Sequence[str]) -> None:
        self._results = results
        self._inbox = inbox
        self._waiter = inbox.waiter()
        inbox.join(self._waiter, ids)

    def add(self, ids: Collection[str]) -> None:
        self._inbox.join(self._waiter, ids)

    def discard(self, ids: Collection[str]) -> None:
        self._inbox.part(self._waiter, ids)

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        try:
            return self._inbox.wait(self._waiter, time.monotonic() + timeout)
        except WireError as error:
            doing = f"waiting for the results of {_ids(list(self._waiter.ids))}"
            raise self._results.error(error, doing) from error

    def close(self) -> None:
        self._inbox.part(self._waiter)


def _ids(ids: Sequence[str]) -> str:
    return f"task {ids[0]}" if len(ids) == 1 else f"{len(ids)} tasks"
