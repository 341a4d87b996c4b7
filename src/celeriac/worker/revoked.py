"""What must not run, as far as this process knows. It is asked for each task: while nothing is revoked, by one look."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from celeriac.app.revoking import stamps_of
from celeriac.exceptions import OperationalError
from celeriac.interfaces.revocations import Revocation, RevocationStore
from celeriac.types import Seconds
from celeriac.wire.tasks import TaskCall

logger = logging.getLogger(__name__)

_PRUNE: Final[Seconds] = 60.0
"""Between two looks for what has ended."""


class Revoked:
    """The revocations that are known here, and the store that has them all. Thread-safe.

    `number` is that of the newest which the store has told; without a store it stays 0.
    """

    def __init__(self, store: RevocationStore | None) -> None:
        self.store = store
        self.number = 0
        self.is_empty = True
        self._guard_known = threading.Lock()
        self._by_id: dict[str, tuple[Seconds, Revocation]] = {}
        self._by_stamp: dict[tuple[str, str], tuple[Seconds, Revocation]] = {}
        self._prune_at = 0.0

    @property
    def is_behind(self) -> bool:
        """Tell whether the store has more, as the last claim has told."""
        return self.store is not None and self.store.heard > self.number

    def begin(self) -> None:
        """Catch up for the first time. A store that is away is no reason not to begin: the first claim tells."""
        try:
            self.catch_up()
        except OperationalError as error:
            logger.warning("Which tasks are revoked is not known yet: %s", error)

    def catch_up(self) -> Sequence[Revocation]:
        """Read what the store has beyond what is known; return it. Raises `CoordinatorError` kin."""
        if self.store is None:
            return ()
        heard = self.store.heard  # first: all up to it is then among what is read, or has ended
        number, found = self.store.since(self.number)
        self.add(found)
        self.number = max(self.number, number, heard)
        return found

    def add(self, revocations: Iterable[Revocation]) -> None:
        """Know these too. One that ends what runs outlasts one of the same that does not."""
        now = time.monotonic()
        with self._guard_known:
            for one in revocations:
                told = now + one.ttl, one
                if one.task_id:
                    self._by_id[one.task_id] = _stricter(self._by_id.get(one.task_id), told)
                else:
                    key = one.header, one.stamp
                    self._by_stamp[key] = _stricter(self._by_stamp.get(key), told)
            if now >= self._prune_at:
                self._prune_at = now + _PRUNE
                self._by_id = {key: told for key, told in self._by_id.items() if told[0] > now}
                self._by_stamp = {key: told for key, told in self._by_stamp.items() if told[0] > now}
            self.is_empty = not self._by_id and not self._by_stamp

    def of(self, call: TaskCall) -> Revocation | None:
        """Return the revocation that the call meets, None where it may run."""
        told = self._by_id.get(call.id)
        if told is not None and told[0] > time.monotonic():
            return told[1]
        if not self._by_stamp or not call.stamps:
            return None
        now = time.monotonic()
        for header in call.stamped_headers or call.stamps:
            for stamp in stamps_of(call.stamps.get(header, ())):
                told = self._by_stamp.get((header, stamp))
                if told is not None and told[0] > now:
                    return told[1]
        return None

    def ends(self, call: TaskCall) -> Revocation | None:
        """Return the revocation that is to end the call while it runs; None where it may go on."""
        found = None if self.is_empty else self.of(call)
        return found if found is not None and found.signal else None

    def all(self) -> list[Revocation]:
        """Return what is known and has not ended, with how long it is still remembered."""
        now = time.monotonic()
        with self._guard_known:
            told = [*self._by_id.values(), *self._by_stamp.values()]
        return [replace(one, ttl=ends - now) for ends, one in told if ends > now]


def _stricter(known: tuple[Seconds, Revocation] | None, told: tuple[Seconds, Revocation]) -> tuple[Seconds, Revocation]:
    if known is None:
        return told
    (ends, one), (other_ends, other) = known, told
    return max(ends, other_ends), (other if other.signal or not one.signal else one)
