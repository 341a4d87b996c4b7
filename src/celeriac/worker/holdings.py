"""Which deliveries an engine holds, as the node knows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from celeriac.interfaces.broker import Lease
from celeriac.worker.notes import Held, HoldingNote


class Holdings:
    """The leases that one engine holds, by tag. Thread-safe. The `Ledger` of an engine in the node's own process.

    An engine in another process tells by notes: `unread` returns those that were not read yet, oldest first.
    """

    def __init__(self, unread: Callable[[], Iterable[HoldingNote]] = tuple) -> None:
        self._unread = unread
        self._guard_leases = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._notes = 0

    def held(self, leases: Sequence[Lease]) -> int:
        """Note deliveries that were just received; return the number of this note."""
        with self._guard_leases:
            return self._hold(leases)

    def settled(self, tags: Iterable[str]) -> None:
        """Note deliveries that are done with, or lost."""
        with self._guard_leases:
            self._catch_up()
            self._let_go(tags)

    def catch_up(self) -> None:
        """Read the notes that were not read yet: there is room for others then."""
        with self._guard_leases:
            self._catch_up()

    @property
    def notes(self) -> int:
        """How often the engine has said that it holds more; all that it said so often is known."""
        with self._guard_leases:
            self._catch_up()
            return self._notes

    def all(self) -> list[Lease]:
        """Return what is held now."""
        with self._guard_leases:
            self._catch_up()
            return list(self._leases.values())

    def take_all(self) -> list[Lease]:
        """Return what is held, and hold nothing any more; the next note is the first of another engine."""
        with self._guard_leases:
            self._catch_up()
            leases, self._leases = list(self._leases.values()), {}
            self._notes = 0
            return leases

    def __len__(self) -> int:
        return len(self.all())

    def _catch_up(self) -> None:
        for note in self._unread():
            if isinstance(note, Held):
                self._hold(note.leases)
            else:
                self._let_go(note.tags)

    def _hold(self, leases: Sequence[Lease]) -> int:
        self._leases.update((lease.tag, lease) for lease in leases)
        self._notes += 1
        return self._notes

    def _let_go(self, tags: Iterable[str]) -> None:
        for tag in tags:
            self._leases.pop(tag, None)
