"""A Redis server that goes, freezes or is cut off amid the work: all is done, and soon after its return."""

from __future__ import annotations

import time

import pytest

from tests.faults.amid_work import trouble_amid_work
from tests.faults.conftest import Scale
from tests.faults.proxy import Proxy
from tests.faults.trouble import FaultPlace
from tests.servers.redis import RedisServer

LEASE = 6.0
"""Seconds: longer than the short outages."""


@pytest.fixture
def place(make_place, server: RedisServer) -> FaultPlace:
    return make_place(server.url, visibility_timeout=LEASE)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_broker_away_amid_the_work_loses_nothing(
    place: FaultPlace, server: RedisServer, scale: Scale, how: str, figures
) -> None:
    def away() -> None:
        (server.stop if how == "stopped" else server.pause)()
        time.sleep(scale.of(3, 10))  # the outage itself
        (server.start if how == "stopped" else server.resume)()

    trouble_amid_work(place, away, figures=figures)


def test_killed_connections_lose_nothing(place: FaultPlace, server: RedisServer, scale: Scale, figures) -> None:
    rounds = scale.of(3, 20)

    def kill_clients() -> None:
        with server.client() as client:
            for _ in range(rounds):
                for kind in ("normal", "pubsub"):
                    client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                time.sleep(0.2)

    trouble_amid_work(place, kill_clients, figures=figures, kills=rounds)


class TestThroughAProxy:
    """Worker and client reach the server only through a proxy."""

    @pytest.fixture
    def proxy(self, server: RedisServer):
        with Proxy(server.port) as proxy:
            yield proxy

    @pytest.fixture
    def place(self, make_place, proxy: Proxy) -> FaultPlace:
        return make_place(proxy.url, visibility_timeout=LEASE)

    def test_connections_that_are_reset_lose_nothing(self, place: FaultPlace, proxy: Proxy, scale, figures) -> None:
        trouble_amid_work(place, proxy.reset, figures=figures)

    def test_three_drops_in_two_seconds_lose_nothing(self, place: FaultPlace, proxy: Proxy, scale, figures) -> None:
        def drops() -> None:
            for _ in range(3):
                proxy.reset()
                time.sleep(0.66)

        trouble_amid_work(place, drops, figures=figures, kills=3)

    def test_half_open_connections_are_left(self, place: FaultPlace, proxy: Proxy, scale, figures) -> None:
        trouble_amid_work(place, proxy.half_open, figures=figures)

    def test_a_black_hole_is_survived(self, place: FaultPlace, proxy: Proxy, scale: Scale, figures) -> None:
        def swallow() -> None:
            proxy.is_black_hole = True
            time.sleep(scale.of(3, 10))
            proxy.is_black_hole = False

        trouble_amid_work(place, swallow, figures=figures)

    def test_a_slow_line_loses_nothing(self, place: FaultPlace, proxy: Proxy, scale: Scale, figures) -> None:
        def crawl() -> None:
            proxy.delay = 0.1
            time.sleep(scale.of(2, 20))
            proxy.delay = 0.0

        trouble_amid_work(place, crawl, figures=figures)
