"""What a process does until it is killed: send, or receive and acknowledge; each keeps a ledger outside the store.

Run as ``python sqlite_child.py send|work URL LEDGER SEED``. A ledger line is written in one piece: by a sender after
`send` has returned, by a worker before it acknowledges.
"""

from __future__ import annotations

import os
import random
import sys
import time

from celeriac.drivers import load
from celeriac.interfaces.broker import Broker, Outgoing, Route, Terms
from celeriac.interfaces.store import StoreOptions
from celeriac.wire.message import Message

QUEUE = "work"
LEASE = 0.3
FOLLOW_UP = "then-"

PAUSE = 0.003
"""Seconds between two batches, so that one worker nearly keeps up with one sender."""


def outgoing(name: str) -> Outgoing:
    return Outgoing(route=Route(queue=QUEUE), message=Message(headers={"id": name}, body=b"[[], {}, {}]"))


def send(broker: Broker, ledger: int, chance: random.Random) -> None:
    """Send batches for ever; note each batch when the store has it."""
    count = 0
    while True:
        names = [f"{os.getpid()}-{count + n}" for n in range(chance.randint(1, 30))]
        count += len(names)
        broker.send([outgoing(name) for name in names])
        note(ledger, names)
        time.sleep(PAUSE)


def work(broker: Broker, ledger: int, chance: random.Random) -> None:
    """Receive for ever; note what was done, then acknowledge some with a follow-up, give some back, keep some."""
    while True:
        broker.upkeep(limit=1000)
        deliveries = broker.receive(
            [QUEUE], Terms(limit=chance.randint(1, 20), lease=LEASE, owner=str(os.getpid())), wait=0.05
        )
        back = [delivery.lease for delivery in deliveries if chance.random() < 0.1]
        done = [delivery for delivery in deliveries if delivery.lease not in back and chance.random() < 0.9]
        note(ledger, [str(delivery.message.headers["id"]) for delivery in done])
        follow_ups = {
            delivery.lease.tag: [outgoing(FOLLOW_UP + delivery.message.headers["id"])]
            for delivery in done
            if not delivery.message.headers["id"].startswith(FOLLOW_UP)
        }
        broker.ack([delivery.lease for delivery in done], follow_ups=follow_ups)
        broker.requeue(back)


def note(ledger: int, names: list[str]) -> None:
    os.write(ledger, "".join(f"{name}\n" for name in names).encode())


def main() -> None:
    what, url, ledger, seed = sys.argv[1:]
    broker = load(url, StoreOptions()).broker
    assert broker is not None
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    {"send": send, "work": work}[what](broker, file, random.Random(int(seed)))


if __name__ == "__main__":
    main()
