"""A RabbitMQ node that is short of memory takes no messages: callers are told so in time, and workers go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from celeriac.exceptions import BrokerUnavailable
from tests.faults.amid_work import WAIT, trouble_amid_work
from tests.faults.conftest import Scale
from tests.faults.trouble import FaultPlace
from tests.integration.worker.node import until
from tests.servers.rabbitmq import RabbitServer

IN_TIME = 6.0
"""Seconds by which a send that cannot succeed has ended: its budget of 4 s, and what a busy machine adds."""


@pytest.fixture(params=["rabbitmq", pytest.param("quorum", marks=pytest.mark.full)])
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def alarm(server: RabbitServer) -> Iterator[None]:
    """Have the node think that it uses more memory than it may."""

    def is_on() -> bool:
        return "memory" in server.call("rabbit_alarm", "get_alarms")

    server.call("vm_memory_monitor", "set_vm_memory_high_watermark", "0.000001")
    until(is_on, "the alarm")
    yield
    server.call("vm_memory_monitor", "set_vm_memory_high_watermark", "0.4")
    until(lambda: not is_on(), "the end of the alarm")


def test_an_alarm_amid_the_work_is_a_clear_error_and_loses_nothing(
    place_on, server: RabbitServer, scale: Scale, figures
) -> None:
    def blocked() -> None:
        with alarm(server):
            time.sleep(scale.of(6, 20))  # the alarm itself: longer than a send may take

    producer = trouble_amid_work(place_on(server.url), blocked, figures=figures)
    assert isinstance(producer.last_refusal, BrokerUnavailable)
    assert "it takes no messages for now, its alarm says" in str(producer.last_refusal)
    assert producer.longest < IN_TIME


def test_workers_drain_the_queue_while_an_alarm_is_on(
    place_on, server: RabbitServer, scale: Scale, tmp_path, figures
) -> None:
    """So the server gets its memory back. Results are elsewhere, for they are messages too where they are not."""
    tasks = scale.of(200, 2000)
    place: FaultPlace = place_on(server.url, results=f"sqlite:///{tmp_path / 'results.db'}")
    wanted = place.send_work(tasks)
    with alarm(server):
        worker = place.node()
        place.until_ended(wanted, deadline=WAIT)
    figures(tasks=tasks, lost=0, duplicated=len(place.ledger.repeated("begin")))
    assert place.ledger.repeated("begin") == {}
    assert worker.terminate() == 0, worker.log
