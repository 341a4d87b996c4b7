"""The contract of revocations: which tasks must not run any more, for as long as they may still come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from celeriac.types import Seconds


class Revocation(Struct, frozen=True):
    """What must not run: the task of that id, or all whose stamped header `header` is, or has in its list, `stamp`.

    `signal` names the signal by which what runs is ended; empty, it may go on. `ttl` is how long this is remembered
    from now.
    """

    task_id: str = ""
    header: str = ""
    stamp: str = ""
    signal: str = ""
    ttl: Seconds = 0.0


class RevocationStore(Protocol):
    """Keeps revocations until they end, each under a number. Numbers grow. Thread-safe.

    Raises `CoordinatorError` kin, and nothing else.
    """

    @property
    def heard(self) -> int:
        """The newest number that this client has heard of, without a trip of its own; 0 for none.

        Whatever the broker of the same store, opened with it, has received was received after it was told that number
        or an older one: what had a number before it was received is among what `since` then returns.
        """

    def add(self, revocations: Sequence[Revocation]) -> None:
        """Remember them. What is known already keeps its number, unless it would have ended much sooner.

        Messages of the tasks that are revoked by id become due, where they are delayed in the same store: their ends
        are not long in coming, and do not outlast what is remembered.
        """

    def since(self, number: int) -> tuple[int, Sequence[Revocation]]:
        """Return the newest number, and what came after `number` and has not ended, oldest first; 0 asks for all.

        The newest is 0 when nothing is left.
        """
