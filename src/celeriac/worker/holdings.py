"""Which deliveries an engine holds, as the node knows it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from celeriac.interfaces.broker import Lease


class Holdings:
    """The leases that one engine holds, by tag. Thread-safe. The `Ledger` of an engine in the node's own process."""

    def __init__(self) -> None:
        self._guard_leases = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self.notes = 0
        """How often the engine has said that it holds more; all that it said so often is known."""

    def held(self, leases: Sequence[Lease]) -> int:
        """Note deliveries that were just received; return the number of this note."""
        with self._guard_leases:
            self._leases.update((lease.tag, lease) for lease in leases)
            self.notes += 1
            return self.notes

    def settled(self, tags: Iterable[str]) -> None:
        """Note deliveries that are done with, or lost."""
        with self._guard_leases:
            for tag in tags:
                self._leases.pop(tag, None)

    def flush(self) -> None:
        """Nothing is kept back."""

    def unsettled(self, tags: Iterable[str]) -> list[str]:
        """Return those that are held."""
        with self._guard_leases:
            return [tag for tag in tags if tag in self._leases]

    def all(self) -> list[Lease]:
        """Return what is held now."""
        with self._guard_leases:
            return list(self._leases.values())

    def take_all(self) -> list[Lease]:
        """Return what is held, and hold nothing any more; the next note is the first of another engine."""
        with self._guard_leases:
            leases, self._leases = list(self._leases.values()), {}
            self.notes = 0
            return leases

    def __len__(self) -> int:
        return len(self._leases)
