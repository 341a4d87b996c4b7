"""The contract of keeping results: the last state of each task, until it ends by age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class ResultRecord(Struct, frozen=True):
    """A task's state to store. `payload` is what `celeriac.wire.results` wrote; the store does not read it.

    `ttl` is in seconds from now; None keeps it until it is forgotten.
    """

    task_id: str
    state: str
    payload: bytes
    ttl: float | None


class ResultBackend(Protocol):
    """Results by task id. Thread-safe. Raises `BackendError` kin, and nothing else."""

    @property
    def location(self) -> str:
        """Where the store is, for people: a URL without its password."""

    def connect(self) -> None:
        """Make sure that the store can be reached."""

    def close(self) -> None:
        """Let go of every connection; waiting callers get `BackendError`. Idempotent."""

    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write all of them. A record that `states.may_replace` forbids is passed over in silence.

        The check and the write are one step. Whoever waits for one of the ids is woken.
        """

    def fetch(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the payloads that exist, by id; an unknown or expired id is absent."""

    def wait(self, ids: Sequence[str], *, timeout: float) -> Mapping[str, bytes]:
        """Wait until at least one of the ids is in a ready state; return the payloads of all that are, by id.

        Empty after `timeout` seconds. Any number of threads may wait at once; the number of connections does not
        grow with them.
        """

    def forget(self, ids: Sequence[str]) -> None:
        """Remove the results; an unknown id is no error."""

    def sweep(self, *, limit: int) -> int:
        """Remove up to `limit` expired results where the store does not do so by itself. Return how many."""
