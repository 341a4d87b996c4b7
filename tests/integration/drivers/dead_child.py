"""What a process does until it is killed: give dead letters back, and reject what it receives.

Run as ``python dead_child.py URL PREFIX SEED``. It prints a line when it begins.
"""

from __future__ import annotations

import os
import random
import sys

from celeriac.drivers import load
from celeriac.interfaces.broker import Terms
from celeriac.interfaces.store import Store, StoreOptions

QUEUE = "work"
LEASE = 0.3


def open_store(url: str, prefix: str) -> Store:
    return load(url, StoreOptions(transport_options={"global_keyprefix": prefix, "visibility_timeout": 100}))


def main() -> None:
    url, prefix, seed = sys.argv[1:]
    store = open_store(url, prefix)
    broker, dead_letters = store.broker, store.dead_letters
    assert broker is not None
    assert dead_letters is not None
    chance = random.Random(int(seed))
    print("begins", flush=True)
    while True:
        broker.upkeep(limit=1000)
        letters = dead_letters.page(QUEUE, limit=chance.randint(1, 30))
        dead_letters.requeue([letter.id for letter in letters])
        deliveries = broker.receive(
            [QUEUE], Terms(limit=chance.randint(1, 30), lease=LEASE, owner=str(os.getpid())), wait=0
        )
        broker.reject([delivery.lease for delivery in deliveries], reason="again")


if __name__ == "__main__":
    main()
