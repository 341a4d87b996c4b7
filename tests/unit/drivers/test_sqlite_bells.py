"""Bells: heard by those who wait, harmless to those who ring, missed by nobody when they cannot be had."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from celeriac.drivers import load
from celeriac.drivers.sqlite.bells import Bell, Ringer, directory_of
from celeriac.interfaces.broker import Broker, Outgoing, Route, Terms
from celeriac.interfaces.pubsub import Channel, Post
from celeriac.interfaces.results import ResultRecord
from celeriac.interfaces.store import StoreOptions
from celeriac.testing.clock import FakeClock
from celeriac.wire.message import Message
from tests.unit.threads import no_new_threads

OUTGOING = Outgoing(route=Route(queue="work"), message=Message(headers={"id": "1"}, body=b"[[], {}, {}]"))


def open_broker(path: Path) -> Broker:
    broker = load(f"sqlite:///{path}", StoreOptions()).broker
    assert broker is not None
    return broker


def bells(file: Path) -> list[Path]:
    return list(Path(directory_of(str(file))).iterdir())


def test_a_bell_is_heard_once_however_often_it_was_rung(tmp_path: Path) -> None:
    file = str(tmp_path / "a.db")
    bell, ringer = Bell(file), Ringer(file)
    for _ in range(100):
        ringer.ring()
    assert bell.wait(5.0) is True
    assert bell.wait(0.0) is False
    bell.close()
    ringer.close()


def test_ringing_where_nobody_ever_waited_is_no_error(tmp_path: Path) -> None:
    Ringer(str(tmp_path / "a.db")).ring()


def test_a_bell_that_nobody_hears_any_more_is_removed_by_who_rings_it(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    left, live, ringer = Bell(str(file)), Bell(str(file)), Ringer(str(file))
    left.leave_to_parent()
    assert len(bells(file)) == 2
    ringer.ring()
    assert len(bells(file)) == 1
    assert live.wait(5.0) is True
    live.close()
    ringer.close()
    assert bells(file) == []


def test_a_bell_hung_up_right_after_another_ring_is_rung_too(tmp_path: Path) -> None:
    file = str(tmp_path / "a.db")
    ringer = Ringer(file)
    found = [Bell(file)]
    for _ in range(20):
        ringer.ring()
        found.append(Bell(file))
    ringer.ring()
    assert [bell.wait(5.0) for bell in found] == [True] * 21
    for bell in found:
        bell.close()
    ringer.close()


def test_whatever_may_end_a_wait_rings_the_bells_of_other_processes(tmp_path: Path) -> None:
    clock = FakeClock()
    store = load(f"sqlite:///{tmp_path}/a.db", StoreOptions(clock=clock))
    broker, results, pubsub = store.broker, store.results, store.pubsub
    assert broker is not None
    assert results is not None
    assert pubsub is not None
    broker.send([OUTGOING] * 2)
    first, second = broker.receive(["work"], Terms(limit=2, lease=5.0, owner="o"), wait=0.0)
    follow_ups = {second.lease.tag: [OUTGOING]}
    bell = Bell(str(tmp_path / "a.db"))
    for call in (
        lambda: broker.send([OUTGOING]),
        lambda: broker.requeue([first.lease]),
        lambda: broker.ack([second.lease], follow_ups=follow_ups),
        lambda: results.store([ResultRecord("1", "SUCCESS", b"{}", 60.0)]),
        lambda: pubsub.publish([Post(Channel("events"), OUTGOING.message)]),
    ):
        call()
        assert bell.wait(5.0) is True
    broker.receive(["work"], Terms(limit=1, lease=5.0, owner="o"), wait=0.0)
    clock.advance(6.0)
    assert bell.wait(0.0) is False, "a claim rings for nobody"
    broker.upkeep(limit=10)
    assert bell.wait(5.0) is True
    bell.close()
    broker.close()


@pytest.mark.parametrize("obstacle", ["a path too long for a socket", "a file in the way"])
def test_without_a_bell_a_waiter_still_finds_what_another_client_sent(tmp_path: Path, obstacle: str) -> None:
    folder = tmp_path / ("long" * 30 if "long" in obstacle else "short")
    folder.mkdir()
    path = folder / "a.db"
    if "file" in obstacle:
        Path(directory_of(str(path))).touch()
    with pytest.raises(OSError, match=r"too long|exists"):
        Bell(str(path))
    waiting, sending = open_broker(path), open_broker(path)
    found: list[object] = []
    thread = threading.Thread(
        target=lambda: found.extend(waiting.receive(["work"], Terms(limit=1, lease=30.0, owner="o"), wait=10.0))
    )
    thread.start()
    sending.send([OUTGOING])
    thread.join(10.0)
    assert len(found) == 1
    waiting.close()
    sending.close()


def test_a_wait_that_found_no_thread_does_not_make_the_next_ones_deaf(tmp_path: Path) -> None:
    here = open_broker(tmp_path / "a.db")
    with no_new_threads(), pytest.raises(RuntimeError, match="thread"):
        here.receive(["work"], Terms(limit=1, lease=30.0, owner="one"), wait=5.0)
    sender = (
        "import sys, sqlite3, time; time.sleep(0.5); from celeriac import Celeriac;"
        " Celeriac('x', broker=sys.argv[1]).send_task('task', queue='work')"
    )
    with subprocess.Popen([sys.executable, "-c", sender, f"sqlite:///{tmp_path}/a.db"]):
        assert len(here.receive(["work"], Terms(limit=1, lease=30.0, owner="one"), wait=10.0)) == 1
    here.close()
