"""Opening `memory://`: one store for each process and name, shared by all who open it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from urllib.parse import unquote

from celeriac.drivers.memory.broker import MemoryBroker
from celeriac.drivers.memory.coordinator import Facts, MemoryCoordinator
from celeriac.drivers.memory.dead_letters import MemoryDeadLetters
from celeriac.drivers.memory.groups import Kept, MemoryGroups
from celeriac.drivers.memory.pubsub import Ears, MemoryPubSub
from celeriac.drivers.memory.results import MemoryResults, Records
from celeriac.drivers.memory.revocations import Known, MemoryRevocations
from celeriac.drivers.memory.shelves import Shelves
from celeriac.drivers.urls import split_url
from celeriac.interfaces.store import Store, StoreOptions


@dataclass(frozen=True, slots=True)
class Shared:
    """What all clients of one name have in common."""

    shelves: Shelves = field(default_factory=Shelves)
    ears: Ears = field(default_factory=Ears)
    facts: Facts = field(default_factory=Facts)
    records: Records = field(default_factory=Records)
    groups: Kept = field(default_factory=Kept)
    revoked: Known = field(default_factory=Known)


_naming = threading.Lock()
_stores: dict[str, Shared] = {}


def open_store(url: str, options: StoreOptions) -> Store:
    """Open the store of this process that the URL names; ``memory://`` is one, ``memory://name`` another."""
    name = _name(url)
    shared = share(name)
    location = f"memory://{name}"
    results = MemoryResults(shared.records, location=location, clock=options.clock)
    return Store(
        broker=MemoryBroker(shared.shelves, location=location, clock=options.clock, store_results=results.store),
        dead_letters=MemoryDeadLetters(shared.shelves, clock=options.clock),
        pubsub=MemoryPubSub(shared.ears),
        coordinator=MemoryCoordinator(shared.facts, clock=options.clock),
        results=results,
        groups=MemoryGroups(shared.groups, clock=options.clock),
        revocations=MemoryRevocations(shared.revoked, shared.shelves, clock=options.clock),
    )


def share(name: str) -> Shared:
    """Return what the clients of `name` share, made new if nobody opened it yet."""
    with _naming:
        return _stores.setdefault(name, Shared())


def reset(name: str = "") -> None:
    """Forget the store of that name with all that is in it, so that whoever opens it next finds it empty."""
    with _naming:
        _stores.pop(name, None)


def _name(url: str) -> str:
    parts = split_url(url)
    return unquote(parts.netloc + parts.path.rstrip("/"))
