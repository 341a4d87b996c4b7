"""A cluster of three RabbitMQ nodes that loses one amid the work: nothing is lost, and the others serve soon.

Queues are quorum queues; a classic one is on one node, and waits for it. All clients begin on the first node, which
leads the queue. All is done without the lost node. Then it comes back, and with the next election what its clients held
in the moment of an acknowledgement (see "Clusters" in the documentation of the driver).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.amid_work import FOUND_OUT, RESUMED, trouble_amid_work
from tests.faults.conftest import Scale, queue_settings
from tests.faults.trouble import FaultPlace
from tests.integration.conftest import QUICK_TO_TELL
from tests.integration.worker.node import until
from tests.servers.missing import or_skip
from tests.servers.rabbit_cluster import RabbitCluster
from tests.servers.rabbitmq import RabbitServer, answers

SOON_NOTICED = f"{QUICK_TO_TELL},{{aten,[{{poll_interval,500}}]}}"
"""By default a member of a quorum queue looks each 5 s whether its leader lives. What is tested is what clients do."""
CLAIMED = 50
"""More than two engines hold at a time of such tasks."""
BACKLOG = 1_000_000
"""The first number of the tasks that are there before; the producer counts from 1."""


@pytest.fixture
def handling() -> str:
    """What nodes do that are parted from most others: ``cluster_partition_handling``."""
    return "pause_minority"


@pytest.fixture
def cluster(handling: str) -> Iterator[RabbitCluster]:
    config = {"cluster_partition_handling": handling}
    with or_skip(lambda: RabbitCluster(config=config, advanced=SOON_NOTICED), "rabbitmq") as started:
        yield started


@pytest.fixture
def place(make_place, cluster: RabbitCluster) -> FaultPlace:
    return make_place(cluster.url, more={"settings": queue_settings("quorum"), "counts": cluster.counts})


@pytest.fixture
def trouble(place: FaultPlace, cluster: RabbitCluster, scale: Scale, figures) -> Callable[..., None]:
    """Return a function that makes trouble with the leader of the queue while so many tasks drain."""
    waiting = place.send_work(scale.of(500, 5000), first=BACKLOG)
    leader = cluster.leader_of("celery")
    assert leader is cluster.nodes[0]

    begun: list[int] = []

    def make(cause: Callable[[RabbitServer], None], mend: Callable[[], None], *, within: float = RESUMED) -> None:
        def lose() -> None:
            cause(leader)
            begun.append(place.ledger.count("begin"))

        def has_resumed() -> bool:
            """A probe would have to wait until the rest has drained."""
            return place.ledger.count("begin") > begun[0] + CLAIMED

        def end() -> None:
            mend()
            cluster.until_whole()
            cluster.elect("celery")

        more = {"has_resumed": has_resumed, "mend": end, "within": within, "deadline": float(scale.of(30, 180))}
        producer = trouble_amid_work(place, lose, figures=figures, **more)
        figures(tasks=len(waiting | producer.sent))
        assert waiting - set(place.ledger.subjects("end")) == set()

    return make


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.full)])
def test_a_cluster_that_loses_the_leader_of_its_queue_goes_on(trouble, cluster: RabbitCluster, how: str) -> None:
    trouble(RabbitServer.kill if how == "killed" else RabbitServer.stop, cluster.nodes[0].start)


@pytest.mark.full
def test_a_cluster_that_loses_a_follower_goes_on(trouble, cluster: RabbitCluster) -> None:
    trouble(lambda _: cluster.nodes[2].kill(), cluster.nodes[2].start)


@pytest.mark.full
def test_a_frozen_leader_is_left(trouble, cluster: RabbitCluster) -> None:
    def freeze(leader: RabbitServer) -> None:
        leader.pause()
        cluster.until_missed(leader)  # until then nobody can declare anything

    def mend() -> None:
        cluster.nodes[0].resume()
        cluster.nodes[0].restart()  # who was missed for long is not let in again otherwise

    trouble(freeze, mend, within=FOUND_OUT)


@pytest.mark.full
@pytest.mark.parametrize("handling", ["pause_minority", "ignore"])
def test_a_leader_that_is_parted_from_the_others_is_left(trouble, cluster: RabbitCluster, handling: str) -> None:
    def part(leader: RabbitServer) -> None:
        cluster.cut_off(leader)
        if handling == "pause_minority":
            until(lambda: not answers(leader.port), "the pause of the parted node")

    def mend() -> None:
        cluster.heal(cluster.nodes[0])
        if handling == "ignore":  # somebody has to restart one side: that is the server's way
            cluster.nodes[0].restart()

    trouble(part, mend, within=FOUND_OUT)
