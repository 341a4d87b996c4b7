"""The contract of dead letters: messages that could not be worked on, kept until somebody decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from celeriac.types import Moment
from celeriac.wire.message import Message, Unreadable

__all__ = ["DeadLetter", "DeadLetters"]


class DeadLetter(Struct, frozen=True):
    """A message that was rejected, with the reason, since the moment `died` (UTC epoch seconds).

    `id` is the store's own name for it, never used twice: a message that dies again is another letter. `message` is
    `Unreadable` when its bytes are no message. `redelivered` is True when a holder had died while it had the message.
    """

    id: str
    queue: str
    died: Moment
    reason: str
    message: Message | Unreadable
    redelivered: bool = False


class DeadLetters(Protocol):
    """The dead letters of a store. Nothing leaves but by `requeue`, `remove` and `purge`; no number is too many.

    Any number of processes may look and decide at once: each letter is requeued or removed by one of them, as a whole
    or not at all, whatever dies in between. Thread-safe; raises `BrokerError` kin, and nothing else. The connections
    are those of the store's `Broker`, and end with its `close`.
    """

    def queues(self) -> Sequence[str]:
        """Return the names of the queues that have dead letters, sorted."""

    def page(self, queue: str, *, limit: int, after: str | None = None) -> Sequence[DeadLetter]:
        """Return up to `limit` letters of the queue, the newest first.

        `after` is the id of a letter of that queue, which need not be there any more: the page begins with the next
        older one. Fewer than `limit` letters are the last page.
        """

    def fetch(self, ids: Sequence[str]) -> Mapping[str, DeadLetter]:
        """Return the letters that are there, by id; an id that nobody knows is absent."""

    def requeue(self, ids: Sequence[str]) -> Sequence[str]:
        """Put the messages back at the end of the line of their queues, in the order given, with their priority.

        They are not marked as redelivered: what happened before is over. Bytes that are no message go back as they
        are. Return the ids that were not there; an id that is given twice counts once.
        """

    def remove(self, ids: Sequence[str]) -> Sequence[str]:
        """Remove the letters for good. Return the ids that were not there; an id that is given twice counts once."""

    def purge(self, queue: str, *, before: Moment | None = None) -> int:
        """Remove the letters of a queue, or those that died before a moment. Return how many were removed."""
