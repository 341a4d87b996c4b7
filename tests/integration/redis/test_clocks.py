"""What becomes of leases and delays when a machine's clock is set while a node runs."""

from __future__ import annotations

import time

import pytest

from celeriac.clock import SystemClock
from celeriac.interfaces.broker import Broker, Delivery, Terms
from celeriac.interfaces.groups import NewChord
from celeriac.testing.conformance.samples import outgoing
from tests.integration.redis.conftest import Open
from tests.servers.redis import RedisServer


class SetClock(SystemClock):
    """The machine's clock, as somebody sets it."""

    shift = 0.0

    def now(self) -> float:
        return super().now() + self.shift


def broker(connect: Open, server: RedisServer, prefix: str, clock: SystemClock) -> Broker:
    opened = connect(server.url, clock=clock, transport_options={"global_keyprefix": prefix}).broker
    assert opened is not None
    opened.upkeep(limit=10)
    return opened


def take(broker: Broker) -> list[Delivery]:
    return list(broker.receive(["jobs"], Terms(limit=1, lease=30, owner="one"), wait=0))


@pytest.mark.parametrize("shift", [3600.0, -3600.0])
def test_a_clock_that_is_set_takes_no_lease_of_others(
    redis_server: RedisServer, connect: Open, prefix: str, shift: float
) -> None:
    clock = SetClock()
    ours, theirs = broker(connect, redis_server, prefix, clock), broker(connect, redis_server, prefix, SystemClock())
    theirs.send([outgoing(1, queue="jobs")])
    (held,) = take(theirs)
    clock.shift = shift
    assert ours.upkeep(limit=10).reclaimed == 0
    assert theirs.ack([held.lease]) == []


@pytest.mark.parametrize("shift", [3600.0, -3600.0])
def test_a_clock_that_is_set_does_not_end_its_own_leases(
    redis_server: RedisServer, connect: Open, prefix: str, shift: float
) -> None:
    clock = SetClock()
    ours, theirs = broker(connect, redis_server, prefix, clock), broker(connect, redis_server, prefix, SystemClock())
    ours.send([outgoing(1, queue="jobs")])
    (held,) = take(ours)
    clock.shift = shift
    for _ in range(2):  # by what is known of the step, and by a new comparison
        assert ours.extend([held.lease], lease=30) == []
        due = theirs.upkeep(limit=10).next_due
        assert due is not None
        assert 25 < due - time.time() < 35
    assert ours.ack([held.lease]) == []


@pytest.mark.parametrize("shift", [3600.0, -3600.0])
def test_a_chord_is_due_when_its_sender_said_whoever_s_clock_is_wrong(
    redis_server: RedisServer, connect: Open, prefix: str, shift: float
) -> None:
    clock = SetClock()
    clock.shift = shift
    options = {"global_keyprefix": prefix}
    stores = [
        connect(redis_server.url, clock=each, transport_options=options).groups for each in (clock, SystemClock())
    ]
    wrong, right = (store for store in stores if store is not None)
    for name, ours, theirs, at in (("a", wrong, right, time.time), ("b", right, wrong, clock.now)):
        begun = clock.now() if ours is wrong else time.time()
        ours.open([NewChord(name, 2, b"{}", deadline=begun + 600, ttl=900, sent_by=begun + 60)])
        assert theirs.overdue(now=at(), again=at() + 5, limit=10) == []
        assert [each.id for each in theirs.overdue(now=at() + 61, again=at() + 600, limit=10)] == [name]
        assert ours.seal(name, size=None)
        theirs.close([name])


def test_a_delay_is_as_long_as_it_was_said_after_the_clock_is_set(
    redis_server: RedisServer, connect: Open, prefix: str
) -> None:
    clock = SetClock()
    ours, theirs = broker(connect, redis_server, prefix, clock), broker(connect, redis_server, prefix, SystemClock())
    clock.shift = -3600.0
    ours.send([outgoing(1, queue="jobs", not_before=clock.now() + 20)])
    for node in (ours, theirs):
        done = node.upkeep(limit=10)
        assert done.promoted == 0
        assert done.next_due is not None
    assert 15 < done.next_due - time.time() < 25
