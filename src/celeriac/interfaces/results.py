"""The contract of keeping results: the last state of each task, until it ends by age."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class ResultRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """A task's state to store. `payload` is what `celeriac.wire.results` wrote; the store does not read it.

    `ttl` is in seconds from now; None keeps it until it is forgotten. `reply_to` is what the task's message said of
    where its result is to be sent: see `Mailbox`.
    """

    task_id: str
    state: str
    payload: bytes
    ttl: float | None
    reply_to: str | None = None


class Mailbox(Protocol):
    """Where a store that keeps nothing has the results of this process's tasks sent. Thread-safe.

    The messages of the tasks must name its address, and no other process can read what comes there.
    """

    @property
    def is_open(self) -> bool:
        """Whether this process has asked for its address: otherwise it has sent nothing whose result could come."""

    @property
    def is_at_hand(self) -> bool:
        """Whether `address` would answer at once, as far as is known: without a word to the store."""

    def address(self) -> str:
        """Return what messages are to name as ``reply_to``; what is sent there arrives. Raises `BackendError` kin."""


class ResultListener(Protocol):
    """Waits for any number of tasks, which may change meanwhile.

    One thread at a time is in `get`; any thread may `add` and `discard`, an event loop's too, for they do no I/O.
    """

    def add(self, ids: Collection[str]) -> None:
        """Wait for these too, and look whether they have ended, also for those that were waited for before."""

    def discard(self, ids: Collection[str]) -> None:
        """Wait for these no more; an unknown id is no error."""

    def get(self, *, timeout: float) -> Mapping[str, bytes]:
        """Wait until at least one has reached a ready state; return the payloads of those known to have, by id.

        Empty after `timeout` seconds; a first call without any looks all the same. What is added while it waits, and
        has ended, is told at once. Discard what was told: it may be told again. Raises `BackendError` kin; then `add`
        all that is still wanted once more, or `close`.
        """

    def close(self) -> None:
        """Wait for nothing any more. Raises nothing."""


class ResultBackend(Protocol):
    """Results by task id. Thread-safe. Raises `BackendError` kin, and nothing else."""

    @property
    def location(self) -> str:
        """Where the store is, for people: a URL without its password."""

    @property
    def mailbox(self) -> Mailbox | None:
        """Where results come in that are sent to whoever asked; None where they are kept for everybody."""

    def connect(self) -> None:
        """Make sure that the store can be reached."""

    def close(self) -> None:
        """Let go of every connection; listeners get `BackendError`. Idempotent."""

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write all of them. A record that `states.may_replace` forbids is passed over in silence.

        The check and the write are one step. Whoever listens for one of the ids is woken.
        """

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the payloads that exist, by id; an unknown or expired id is absent."""

    def listen(self, ids: Sequence[str] = ()) -> ResultListener:
        """Begin to wait for the ends of tasks; the first `get` reaches for the store.

        Any number may listen at once; neither connections nor threads grow with them.
        """

    def forget(self, ids: Sequence[str]) -> None:
        """Remove the results; an unknown id is no error."""

    def sweep(self, *, limit: int) -> int:
        """Remove up to `limit` expired results where the store does not do so by itself. Return how many."""
