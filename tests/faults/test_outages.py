"""A server that goes, freezes or is cut off amid the work: all is done, and soon after its return."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.faults.amid_work import FOUND_OUT, RESUMED, trouble_amid_work
from tests.faults.conftest import Scale
from tests.faults.proxy import Proxy
from tests.faults.trouble import FaultPlace
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import VirtualHost
from tests.servers.redis import RedisServer


@pytest.fixture
def place(place_on, server: ServerProcess) -> FaultPlace:
    return place_on(server.url)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_broker_away_amid_the_work_loses_nothing(
    place: FaultPlace, server: ServerProcess, scale: Scale, how: str, figures
) -> None:
    def away() -> None:
        (server.stop if how == "stopped" else server.pause)()
        time.sleep(scale.of(3, 10))  # the outage itself
        (server.start if how == "stopped" else server.resume)()

    trouble_amid_work(place, away, figures=figures)


def test_killed_connections_lose_nothing(place: FaultPlace, server: ServerProcess, scale: Scale, figures) -> None:
    rounds = scale.of(3, 20)

    def kill_clients() -> None:
        for _ in range(rounds):
            server.close_connections()
            time.sleep(0.2)

    trouble_amid_work(place, kill_clients, figures=figures, kills=rounds)


class TestThroughAProxy:
    """Worker and client reach the server only through a proxy."""

    @pytest.fixture
    def server(self, request: pytest.FixtureRequest, server_kind: str) -> Iterator[RedisServer | VirtualHost]:
        """Nothing happens to the server itself, so a part of one that others use is enough."""
        redis = server_kind == "redis"
        used = request.getfixturevalue("own_redis_server") if redis else VirtualHost(request.getfixturevalue("node"))
        yield used
        used.remove()

    @pytest.fixture
    def proxy(self, server: RedisServer | VirtualHost):
        with Proxy(server.port) as proxy:
            yield proxy

    @pytest.fixture
    def place(self, place_on, server: RedisServer | VirtualHost, proxy: Proxy) -> FaultPlace:
        return place_on(server.url_at(proxy.port))

    @pytest.fixture
    def trouble(self, place: FaultPlace, server: RedisServer | VirtualHost, figures) -> Callable[..., None]:
        return partial(trouble_amid_work, place, figures=figures, past_the_trouble=server.url)

    def test_connections_that_are_reset_lose_nothing(self, trouble, proxy: Proxy, scale: Scale, chance) -> None:
        resets = scale.of(1, 20)

        def reset() -> None:
            proxy.reset()
            for _ in range(resets - 1):
                time.sleep(chance.uniform(0.0, 1.0))
                proxy.reset()

        trouble(reset, kills=resets)

    def test_three_drops_in_two_seconds_lose_nothing(self, trouble, proxy: Proxy, scale: Scale) -> None:
        rounds = scale.of(1, 5)

        def drops() -> None:
            for _ in range(3 * rounds):
                proxy.reset()
                time.sleep(0.66)

        trouble(drops, kills=3 * rounds)

    def test_half_open_connections_are_left(self, trouble, proxy: Proxy, scale: Scale) -> None:
        rounds = scale.of(1, 5)

        def halve() -> None:
            proxy.half_open()
            for _ in range(rounds - 1):
                time.sleep(RESUMED)
                proxy.half_open()

        trouble(halve, kills=rounds, within=FOUND_OUT)

    def test_a_black_hole_is_survived(self, trouble, proxy: Proxy, scale: Scale) -> None:
        def swallow() -> None:
            proxy.is_black_hole = True
            time.sleep(scale.of(3, 10))
            proxy.is_black_hole = False

        trouble(swallow)

    def test_a_slow_line_loses_nothing(self, trouble, proxy: Proxy, scale: Scale) -> None:
        def crawl() -> None:
            proxy.delay = 0.1
            time.sleep(scale.of(2, 20))
            proxy.delay = 0.0

        trouble(crawl)
