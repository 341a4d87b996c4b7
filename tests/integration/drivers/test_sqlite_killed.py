"""Processes that share a SQLite store are killed at random moments; a ledger outside the store is compared after."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from celeriac.drivers import load
from celeriac.interfaces.broker import Broker, QueueStats, Terms
from celeriac.interfaces.store import StoreOptions
from tests.integration.drivers.sqlite_child import FOLLOW_UP, LEASE, QUEUE, outgoing

CHILD = Path(__file__).with_name("sqlite_child.py")
KILLS = 10
DEADLINE = 15.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'work.db'}"


def test_kill_9_of_senders_and_workers_loses_nothing(url: str, tmp_path: Path) -> None:
    sent, done = tmp_path / "sent", tmp_path / "done"
    sent.touch()
    done.touch()
    chance = random.Random(7)
    children = [_start("send", url, sent, 1), _start("work", url, done, 2)]
    for kill in range(KILLS):
        nth = kill % 2
        _await_work((sent, done)[nth])
        time.sleep(chance.random() * 0.15)
        children[nth].kill()
        children[nth].wait()
        children[nth] = _start(("send", "work")[nth], url, (sent, done)[nth], kill + 10)
    for child in children:
        child.kill()
        child.wait()

    broker = load(url, StoreOptions()).broker
    assert broker is not None
    names = set(done.read_text().split()) | _drain(broker)
    accepted = set(sent.read_text().split())
    assert len(accepted) > 100, "the senders hardly ran; the kills came too early to prove anything"
    assert accepted - names == set()
    followed = {name for name in names if not name.startswith(FOLLOW_UP)}
    assert {FOLLOW_UP + name for name in followed} - names == set()
    assert broker.stats([QUEUE])[QUEUE] == QueueStats()
    broker.close()
    assert (tmp_path / "work.db-bells").exists()
    broker.send([outgoing("after")])
    assert list((tmp_path / "work.db-bells").iterdir()) == [], "the bells of the killed are still there"
    broker.close()
    with closing(sqlite3.connect(tmp_path / "work.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _start(what: str, url: str, ledger: Path, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), what, url, str(ledger), str(seed)])


def _await_work(ledger: Path) -> None:
    """Return when the child that writes this has begun to work."""
    before, end = ledger.stat().st_size, time.monotonic() + DEADLINE
    while ledger.stat().st_size == before:
        assert time.monotonic() < end, f"nothing is written to {ledger.name}"
        time.sleep(0.005)


def _drain(broker: Broker) -> set[str]:
    """Do what is left, as the last worker, until the leases of the killed have run out and nothing is there."""
    names: set[str] = set()
    end = time.monotonic() + DEADLINE
    while broker.stats([QUEUE])[QUEUE] != QueueStats():
        assert time.monotonic() < end, "messages stay behind"
        broker.upkeep(limit=1000)
        deliveries = broker.receive([QUEUE], Terms(limit=500, lease=LEASE * 10, owner="last"), wait=LEASE / 3)
        follow_ups = {}
        for delivery in deliveries:
            name = str(delivery.message.headers["id"])
            names.add(name)
            if not name.startswith(FOLLOW_UP):
                follow_ups[delivery.lease.tag] = [outgoing(FOLLOW_UP + name)]
        broker.ack([delivery.lease for delivery in deliveries], follow_ups=follow_ups)
    return names
