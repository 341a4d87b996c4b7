"""What a store supplies so that the suite can run against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celeriac.interfaces.store import Store


def _nothing() -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Case:
    """One store under test, in a namespace that nobody else uses.

    `open` makes one more client of that namespace, reading the time from the test's clock. `inject_raw` puts bytes,
    as a careless or hostile producer would, where a queue's next message is read. `expires_by_clock` says that
    results, locks and counters end by the test's clock; False where the server's own time counts, and then the suite
    waits for real. `find_leaks` is called when all clients are closed, and names what should not be there.
    """

    name: str
    open: Callable[[], Store]
    inject_raw: Callable[[str, bytes], None]
    expires_by_clock: bool = True
    find_leaks: Callable[[], Sequence[str]] = _nothing
