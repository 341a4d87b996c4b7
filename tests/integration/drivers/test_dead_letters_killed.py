"""Processes that give dead letters back and reject them again are killed: each message is there once, always."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from celeriac.interfaces.broker import Broker, Outgoing, Route, Terms
from celeriac.interfaces.dead_letters import DeadLetters
from celeriac.wire.message import Message
from tests.integration.drivers.dead_child import LEASE, QUEUE, open_store

CHILD = Path(__file__).with_name("dead_child.py")
MESSAGES = 200
KILLS = 5
DEADLINE = 15.0


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'work.db'}"
    return str(request.getfixturevalue("redis_server").url)


def test_kill_9_while_letters_are_given_back_neither_loses_nor_doubles_one(url: str) -> None:
    prefix = f"{uuid.uuid4().hex}:"
    store = open_store(url, prefix)
    assert store.broker is not None
    assert store.dead_letters is not None
    store.broker.send([_outgoing(n) for n in range(MESSAGES)])
    held = store.broker.receive([QUEUE], Terms(limit=MESSAGES, lease=60, owner="test"), wait=0)
    store.broker.reject([delivery.lease for delivery in held], reason="first")
    newest = store.dead_letters.page(QUEUE, limit=1)[0].id

    chance = random.Random(11)
    children = [_start(url, prefix, seed) for seed in (1, 2)]
    for kill in range(KILLS):
        time.sleep(0.05 + chance.random() * 0.1)
        _end(children[kill % 2])
        children[kill % 2] = _start(url, prefix, kill + 10)
    for child in children:
        _end(child)

    assert newest not in store.dead_letters.fetch([newest]), "the children hardly ran"
    assert _all_there(store.broker, store.dead_letters) == Counter(range(MESSAGES))
    store.broker.close()


def _outgoing(n: int) -> Outgoing:
    return Outgoing(route=Route(queue=QUEUE), message=Message({"n": n}, b"[[], {}, {}]"))


def _start(url: str, prefix: str, seed: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, str(CHILD), url, prefix, str(seed)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"begins\n"
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def _all_there(broker: Broker, dead_letters: DeadLetters) -> Counter[object]:
    """Count the messages that are ready or dead, once the leases of the killed have run out."""
    end = time.monotonic() + DEADLINE
    while broker.stats([QUEUE])[QUEUE].leased:
        assert time.monotonic() < end, "messages stay held"
        broker.upkeep(limit=1000)
        time.sleep(LEASE / 10)
    ready = broker.receive([QUEUE], Terms(limit=1000, lease=60, owner="test"), wait=0)
    dead = dead_letters.page(QUEUE, limit=1000)
    found = [each.message for each in (*ready, *dead)]
    return Counter(message.headers["n"] for message in found if isinstance(message, Message))
