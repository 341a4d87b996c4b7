"""Several processes on one file: opened at once, and forked with connections open."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from celeriac.drivers import load
from celeriac.interfaces.broker import Broker, Terms
from celeriac.interfaces.store import StoreOptions
from tests.integration.drivers.sqlite_child import LEASE, QUEUE, outgoing

SEND_ONE = """
import sys, time
from celeriac.drivers import load
from celeriac.interfaces.store import StoreOptions
from celeriac.interfaces.broker import Outgoing, Route
from celeriac.wire.message import Message
url, moment, queue = sys.argv[1:]
broker = load(url, StoreOptions()).broker
time.sleep(max(0.0, float(moment) - time.time()))
broker.send([Outgoing(route=Route(queue=queue), message=Message({"id": "1"}, b"[]"))])
"""


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    found = load(f"sqlite:///{tmp_path}/shared.db", StoreOptions()).broker
    assert found is not None
    return found


def test_processes_that_open_a_new_file_at_once_all_get_it(broker: Broker) -> None:
    moment = time.time() + 0.8
    command = [sys.executable, "-c", SEND_ONE, broker.location, str(moment), QUEUE]
    children = [subprocess.Popen(command) for _ in range(5)]
    assert [child.wait() for child in children] == [0] * 5
    assert broker.stats([QUEUE])[QUEUE].ready == 5
    broker.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_parent_and_child_go_on_after_a_fork_with_connections_of_their_own(broker: Broker) -> None:
    broker.send([outgoing("1"), outgoing("2"), outgoing("3")])
    (held,) = broker.receive([QUEUE], Terms(limit=1, lease=60, owner="parent"), wait=0)
    child = os.fork()
    if child == 0:
        try:
            taken = broker.receive([QUEUE], Terms(limit=1, lease=60, owner="child"), wait=1.0)
            lost = broker.ack([delivery.lease for delivery in taken])
            empty = broker.receive(["nothing"], Terms(limit=1, lease=LEASE, owner="child"), wait=0.1)
            os._exit(0 if len(taken) == 1 and not lost and not empty else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert list(broker.ack([held.lease])) == []
    left = broker.receive([QUEUE], Terms(limit=5, lease=60, owner="parent"), wait=0)
    assert [delivery.message.headers["id"] for delivery in left] == ["3"]
    broker.close()
