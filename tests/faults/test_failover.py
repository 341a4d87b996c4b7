"""A failover by Sentinel amid the work.

Replication is asynchronous: a primary answers before its replicas have what it was told, so what it acknowledged last
can be lost with it, whoever asks. What is promised and tested here: each send that returned is done if every replica
had it (``WAIT`` tells), or if it began when the old primary could answer nobody any more; and work goes on within 5 s
of the moment at which a Sentinel names the new primary. An acknowledgement by a worker can be lost in the same way: its
task runs again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.amid_work import WAIT, trouble_amid_work
from tests.faults.conftest import Scale
from tests.faults.trouble import FaultPlace
from tests.integration.worker.node import until
from tests.servers.missing import or_skip
from tests.servers.redis import RedisServer, Sentinels

LEASE = 6.0
REPLICAS = 2
LAG = 1
"""Seconds after which a primary without replicas takes no writes any more, so that an old one does not go on alone."""

BACKLOG = 1_000_000
"""The first number of the tasks that are there before; the producer counts from 1."""


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    alone = {"min-replicas-to-write": "1", "min-replicas-max-lag": str(LAG)}
    with or_skip(lambda: Sentinels(replicas=REPLICAS, sentinels=3, options=alone), "redis") as started:
        yield started


@pytest.fixture
def place(make_place, sentinels: Sentinels) -> FaultPlace:
    return make_place(sentinels.url, visibility_timeout=LEASE, master_name=sentinels.name)


class Witness:
    """Tells of a send that returned whether it outlives the old primary. From `out_since` on that takes none."""

    def __init__(self, sentinels: Sentinels) -> None:
        self.out_since = float("inf")
        at_once = Retry(NoBackoff(), 0)
        self._old = redis.Redis(port=sentinels.primary.port, host="127.0.0.1", socket_timeout=0.5, retry=at_once)

    def is_kept(self, began: float) -> bool:
        if began > self.out_since:
            return True
        try:
            self._old.set("witness", began)  # WAIT is about this connection's writes: this one came after the send
            return bool(self._old.wait(REPLICAS, 200) == REPLICAS)
        except redis.ResponseError as error:
            if isinstance(error, redis.ReadOnlyError) or "NOREPLICAS" in str(error):
                self.out_since = time.monotonic()  # it is a replica itself, or its replicas have left it
        except redis.RedisError:
            pass
        return False


@pytest.mark.parametrize("how", ["killed", "frozen", "thawed", "planned"])
def test_a_failover_amid_the_work_loses_nothing_that_the_replicas_had(
    place: FaultPlace, sentinels: Sentinels, scale: Scale, how: str, figures
) -> None:
    """`thawed`: the old primary goes on when another has taken its place, and is not told so for some seconds."""
    witness = Witness(sentinels)
    before: set[bytes] = set()
    waiting = place.send_work(scale.of(100, 3000), first=BACKLOG)
    assert witness.is_kept(time.monotonic())

    def fail_over() -> None:
        if how == "planned":
            sentinels.fail_over()
        elif how == "killed":
            sentinels.primary.kill()
        else:
            sentinels.primary.pause()
        if how in ("killed", "frozen"):
            witness.out_since = time.monotonic()
        until(sentinels.promoted, "a new primary", deadline=WAIT)
        before.update(results(sentinels.promoted()))
        if how == "thawed":
            sentinels.primary.resume()

    def has_resumed() -> bool:
        """The old primary may serve some still: what counts is a task whose result the new one is told."""
        return results(sentinels.promoted()) > before

    def has_calmed() -> bool:
        """A thawed primary answers whoever has not left it yet, and what it is told is lost with it."""
        return how != "thawed" or witness.out_since < time.monotonic()

    trouble_amid_work(
        place,
        fail_over,
        figures=figures,
        is_kept=witness.is_kept,
        has_resumed=has_resumed,
        has_calmed=has_calmed,
    )
    assert waiting - set(place.ledger.subjects("end")) == set()


def results(server: RedisServer | None) -> set[bytes]:
    assert server is not None
    with server.client() as client:
        return set(client.keys("celery-task-meta-*"))
